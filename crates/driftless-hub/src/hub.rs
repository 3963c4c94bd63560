use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use driftless_data::PathError as _;
use hf_hub::api::Progress;
use hf_hub::api::sync::{Api, ApiBuilder, ApiRepo};
use hf_hub::{Cache, CacheRepo, Repo, RepoType};

use crate::choice::{Choice, choose};
use crate::reference::is_plain;
use crate::{Error, Reference, Result, checksum};

/// How often a broken connection is tried again.
const RETRIES: usize = 2;

/// Where files come from and where they are kept.
#[derive(Clone, Default)]
pub struct HubOptions {
    /// Folder of everything downloaded.
    pub cache: PathBuf,
    /// Address of the server; `None` for the public one.
    pub endpoint: Option<String>,
    /// What the server wants to see for repositories that are not public.
    pub token: Option<String>,
    /// Whether nothing is downloaded.
    pub offline: bool,
}

impl HubOptions {
    /// What the environment says, in the variables that other programs use, too: `HF_HUB_CACHE`, `HF_HOME`,
    /// `HF_ENDPOINT`, `HF_TOKEN`, `HF_HUB_OFFLINE`. `home` is the user's folder.
    pub fn from_env(home: &Path) -> Self {
        let get = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        let text = |name| get(name).and_then(|value| value.into_string().ok());
        let root = get("HF_HOME").map_or_else(|| home.join(".cache/huggingface"), PathBuf::from);
        let offline = text("HF_HUB_OFFLINE").unwrap_or_default();
        Self {
            cache: get("HF_HUB_CACHE").map_or_else(|| root.join("hub"), PathBuf::from),
            endpoint: text("HF_ENDPOINT"),
            token: text("HF_TOKEN"),
            offline: ["1", "true", "yes", "on"].contains(&offline.to_lowercase().as_str()),
        }
    }
}

impl fmt::Debug for HubOptions {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        // The token is a secret.
        f.debug_struct("HubOptions")
            .field("cache", &self.cache)
            .field("endpoint", &self.endpoint)
            .field("offline", &self.offline)
            .finish_non_exhaustive()
    }
}

/// How far a download is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Download<'a> {
    /// The file, with the folders that it is in.
    pub file: &'a str,
    /// Bytes that are there.
    pub done: u64,
    /// Bytes of the file.
    pub total: u64,
}

/// Published files, downloaded or found.
#[derive(Debug)]
pub struct Hub {
    options: HubOptions,
    api: Option<Api>,
}

impl Hub {
    /// Prepares downloads; nothing is asked for yet.
    ///
    /// # Errors
    /// Returns an error if no connection can be prepared.
    pub fn new(options: HubOptions) -> Result<Self> {
        if options.offline {
            return Ok(Self { options, api: None });
        }
        let cache = Cache::new(options.cache.clone());
        let mut builder = ApiBuilder::from_cache(cache)
            .with_progress(false)
            .with_retries(RETRIES)
            .with_token(options.token.clone());
        if let Some(endpoint) = &options.endpoint {
            builder = builder.with_endpoint(endpoint.trim_end_matches('/').to_owned());
        }
        let api = builder.build().map_err(|error| Error::Server {
            repository: "the server".to_owned(),
            file: "any file".to_owned(),
            what: error.to_string(),
        })?;
        Ok(Self {
            options,
            api: Some(api),
        })
    }

    /// The file that is named, or else what the repository holds: the folder of a world (a model published in two files
    /// counts as one), or its only PyTorch file. What is there already is not asked for again. `watch` hears how far each
    /// download is.
    ///
    /// # Errors
    /// Returns an error if the file is not there and cannot be downloaded, is damaged, or if nothing says which one is
    /// meant.
    pub fn get(&self, reference: &Reference, watch: &mut dyn FnMut(Download)) -> Result<PathBuf> {
        let repository = Repository::new(self, reference);
        let choice = match &reference.file {
            Some(file) => Choice::File(file.clone()),
            None => choose(&reference.repository, &repository.files()?)?,
        };
        match choice {
            Choice::File(file) => repository.file(&file, watch),
            Choice::World(files) => {
                let mut folder = None;
                for file in &files {
                    let path = repository.file(file, watch)?;
                    folder = path.parent().map(Path::to_path_buf);
                }
                folder.ok_or_else(|| repository.missing(None))
            }
        }
    }
}

/// A repository on the server and in the folder.
struct Repository<'a> {
    name: &'a str,
    kept: CacheRepo,
    /// `None` offline.
    remote: Option<(&'a Api, ApiRepo)>,
    cache: &'a Path,
    repo: Repo,
}

impl<'a> Repository<'a> {
    fn new(hub: &'a Hub, reference: &'a Reference) -> Self {
        let id = reference.repository.clone();
        let revision = reference.revision.clone();
        let repo = Repo::with_revision(id, RepoType::Model, revision);
        Self {
            name: &reference.repository,
            kept: Cache::new(hub.options.cache.clone()).repo(repo.clone()),
            remote: hub.api.as_ref().map(|api| (api, api.repo(repo.clone()))),
            cache: &hub.options.cache,
            repo,
        }
    }

    /// The names of all files: those on the server, or offline those that are there.
    fn files(&self) -> Result<Vec<String>> {
        let Some((_, remote)) = &self.remote else {
            return self.kept_files();
        };
        let what = "the list of files";
        let info = self.ask(what, || remote.info())?;
        let names = info.siblings.into_iter().map(|file| file.rfilename);
        // Others could not be stored.
        Ok(names.filter(|name| name.split('/').all(is_plain)).collect())
    }

    /// The files that are there, of the newest revision.
    fn kept_files(&self) -> Result<Vec<String>> {
        let folder = self.cache.join(self.repo.folder_name());
        let revision = folder.join("refs").join(self.repo.revision());
        let Ok(commit) = std::fs::read_to_string(&revision) else {
            return Err(self.missing(None));
        };
        let root = folder.join("snapshots").join(commit.trim());
        let mut files = Vec::new();
        let mut folders = vec![root.clone()];
        while let Some(folder) = folders.pop() {
            let entries = folder
                .read_dir()
                .map_err(|e| driftless_data::Error::io(&folder, e))?;
            for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
                if path.is_dir() {
                    folders.push(path);
                } else if let Some(name) = path.strip_prefix(&root).ok().and_then(Path::to_str) {
                    files.push(name.replace('\\', "/"));
                }
            }
        }
        files.sort();
        Ok(files)
    }

    /// The path of a file, which is downloaded unless it is there.
    fn file(&self, file: &str, watch: &mut dyn FnMut(Download)) -> Result<PathBuf> {
        if let Some(path) = self.kept.get(file) {
            return Ok(path);
        }
        let Some((api, remote)) = &self.remote else {
            return Err(self.missing(Some(file)));
        };
        let metadata = self.ask(file, || api.metadata(&remote.url(file)))?;
        let etag = metadata.etag().to_owned();
        // Both become names of files.
        if !is_plain(&etag) || !is_plain(metadata.commit_hash()) {
            return Err(self.server(file, "the server names it by no checksum".to_owned()));
        }
        let progress = Watch {
            file,
            download: Download {
                file,
                done: 0,
                total: 0,
            },
            watch,
        };
        let path = self.ask(file, || remote.download_with_progress(file, progress))?;
        match checksum::like(&etag, &path)? {
            Some(found) if found != etag => {
                let blob = self.kept.blob_path(&etag);
                for damaged in [&path, &blob] {
                    let removed = std::fs::remove_file(damaged);
                    removed.map_err(|e| driftless_data::Error::io(damaged, e))?;
                }
                Err(Error::Checksum {
                    path,
                    found,
                    expected: etag,
                })
            }
            _ => Ok(path),
        }
    }

    /// Asks the server. The library panics at some answers that no honest server gives.
    fn ask<T, E: fmt::Display>(
        &self,
        file: &str,
        question: impl FnOnce() -> std::result::Result<T, E>,
    ) -> Result<T> {
        match catch_unwind(AssertUnwindSafe(question)) {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(self.server(file, error.to_string())),
            Err(_) => Err(self.server(file, "the server's answer makes no sense".to_owned())),
        }
    }

    fn server(&self, file: &str, what: String) -> Error {
        Error::Server {
            repository: self.name.to_owned(),
            file: file.to_owned(),
            what,
        }
    }

    /// The file, or else anything, is not there.
    fn missing(&self, file: Option<&str>) -> Error {
        Error::Offline(match file {
            Some(file) => format!("{file} of {}", self.name),
            None => self.name.to_owned(),
        })
    }
}

/// Passes on how far a download is.
struct Watch<'a> {
    file: &'a str,
    download: Download<'a>,
    watch: &'a mut dyn FnMut(Download),
}

impl Progress for Watch<'_> {
    fn init(&mut self, size: usize, _: &str) {
        self.download = Download {
            file: self.file,
            done: 0,
            total: size as u64,
        };
    }

    fn update(&mut self, size: usize) {
        self.download.done += size as u64;
        (self.watch)(self.download);
    }

    fn finish(&mut self) {}
}
