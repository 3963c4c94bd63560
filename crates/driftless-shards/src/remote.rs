//! S3-like stores and web servers, through the crate `object_store`.

use std::error::Error as StdError;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::http::HttpBuilder;
use object_store::path::Path;
use object_store::{BackoffConfig, ClientConfigKey, ObjectStore, ObjectStoreExt as _, RetryConfig};
use tokio::runtime::Runtime;
use tokio_rustls::rustls::crypto;

use crate::location::{Location, Place};
use crate::stop::Stop;
use crate::{Error, Result};

/// How often a person's wish to stop is looked for while a server is waited for.
const STOP_EVERY: Duration = Duration::from_millis(50);
/// How long a connection may take, and how long a server may be silent in the middle of an answer.
const SILENCE: Duration = Duration::from_secs(20);
/// How long one answer may take as a whole.
const WHOLE: Duration = Duration::from_secs(30 * 60);
/// Limits of a request that reads, and of one that writes.
const READING: [(ClientConfigKey, Duration); 3] = [
    (ClientConfigKey::ConnectTimeout, SILENCE),
    (ClientConfigKey::ReadTimeout, SILENCE),
    (ClientConfigKey::Timeout, WHOLE),
];
const WRITING: [(ClientConfigKey, Duration); 2] = [
    (ClientConfigKey::ConnectTimeout, SILENCE),
    (ClientConfigKey::Timeout, WHOLE),
];
/// How often a request is repeated that fails for now (503, 429, a broken connection).
const RETRIES: usize = 8;
/// Environment variables whose values are in no message.
const SECRETS: [&str; 4] = [
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_TOKEN",
];

/// Environment variables.
pub(crate) type Environment = Vec<(String, String)>;

/// The variables of this process that are text.
pub(crate) fn environment() -> Environment {
    let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
        Some((name.into_string().ok()?, value.into_string().ok()?))
    };
    std::env::vars_os().filter_map(text).collect()
}

/// A store with the settings of an environment, as `AmazonS3Builder::from_env` reads them from that of the process.
fn s3(environment: &Environment) -> AmazonS3Builder {
    let known = |(name, value): &(String, String)| {
        let is_ours = name.starts_with("AWS_") && !value.is_empty();
        let key = name.to_ascii_lowercase().parse::<AmazonS3ConfigKey>();
        Some((key.ok().filter(|_| is_ours)?, value.clone()))
    };
    let known = environment.iter().filter_map(known);
    known.fold(AmazonS3Builder::new(), |builder, (key, value)| {
        builder.with_config(key, value)
    })
}

/// A place on a server.
pub(crate) struct Remote {
    /// `None` while it is dropped.
    runtime: Option<Runtime>,
    reader: Arc<dyn ObjectStore>,
    /// The same without a limit on silence, which an upload looks like.
    writer: Arc<dyn ObjectStore>,
    prefix: Path,
    location: Location,
    /// What no message may repeat.
    secrets: Vec<String>,
    stop: Stop,
}

impl Remote {
    /// Prepares to talk to a server.
    ///
    /// # Errors
    /// Returns an error if there are no credentials, or if the address or a setting in the environment is wrong.
    pub fn open(
        place: &Place,
        location: &Location,
        environment: &Environment,
        stop: Stop,
    ) -> Result<Self> {
        // Fails if there is one already, which is as good.
        let _ = crypto::ring::default_provider().install_default();
        let secrets = environment
            .iter()
            .filter(|(name, value)| SECRETS.contains(&name.as_str()) && !value.is_empty());
        let secrets: Vec<String> = secrets.map(|(_, value)| value.clone()).collect();
        let failed = |e: object_store::Error| store_error(&location.to_string(), &e, &secrets);
        let (reader, writer, prefix): (Arc<dyn ObjectStore>, Arc<dyn ObjectStore>, &str) =
            match place {
                Place::S3 { bucket, prefix } => {
                    let builder = s3(environment).with_bucket_name(bucket);
                    check_environment(&builder, location)?;
                    let limited = |limits: &[(ClientConfigKey, Duration)]| {
                        let keys = limits.iter().map(|(key, time)| (*key, seconds(*time)));
                        let builder = keys.fold(builder.clone(), |builder, (key, value)| {
                            builder.with_config(AmazonS3ConfigKey::Client(key), value)
                        });
                        builder.with_retry(retry()).build().map_err(failed)
                    };
                    let (reader, writer) = (limited(&READING)?, limited(&WRITING)?);
                    (Arc::new(reader), Arc::new(writer), prefix)
                }
                Place::Web(url) => {
                    let mut builder = HttpBuilder::new().with_url(url).with_retry(retry());
                    builder = builder.with_config(ClientConfigKey::AllowHttp, "true");
                    for (key, time) in READING {
                        builder = builder.with_config(key, seconds(time));
                    }
                    let store = Arc::new(builder.build().map_err(failed)?);
                    (store.clone(), store, "")
                }
                Place::Folder(_) => {
                    let what = format!("{location} is no address of a server");
                    return Err(Error::Argument(what));
                }
            };
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .map_err(|e| Error::Thread(format!("cannot start a thread: {e}")))?;
        Ok(Self {
            runtime: Some(runtime),
            reader,
            writer,
            prefix: Path::from(prefix),
            location: location.clone(),
            secrets,
            stop,
        })
    }

    /// Waits for `work`, or until a person asks to stop.
    fn wait<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        let Some(runtime) = &self.runtime else {
            return Err(Error::Interrupted);
        };
        runtime.block_on(async {
            tokio::pin!(work);
            loop {
                tokio::select! {
                    done = &mut work => return done,
                    () = tokio::time::sleep(STOP_EVERY) => {}
                }
                if (self.stop)() {
                    return Err(Error::Interrupted);
                }
            }
        })
    }

    /// Reads an object of at most `most` bytes.
    ///
    /// # Errors
    /// See [`crate::store::Store::read`].
    pub fn read(&self, name: &str, most: u64) -> Result<Bytes> {
        let (path, name) = (self.prefix.clone().join(name), self.location.name_of(name));
        let failed = |e| store_error(&name, &e, &self.secrets);
        let too_large = || Error::Refused {
            name: name.clone(),
            what: format!("has more than the {most} bytes that were expected"),
        };
        self.wait(async {
            let found = self.reader.get(&path).await.map_err(failed)?;
            if found.meta.size > most {
                return Err(too_large());
            }
            let mut bytes = Vec::with_capacity(found.meta.size as usize);
            let mut stream = found.into_stream();
            while let Some(part) = stream.next().await {
                let part = part.map_err(failed)?;
                if (bytes.len() + part.len()) as u64 > most {
                    return Err(too_large());
                }
                bytes.extend_from_slice(&part);
            }
            Ok(bytes.into())
        })
    }

    /// Writes an object, over what has its name.
    ///
    /// # Errors
    /// See [`crate::store::Store::write`].
    pub fn write(&self, name: &str, bytes: &Bytes) -> Result<()> {
        let (path, name) = (self.prefix.clone().join(name), self.location.name_of(name));
        self.wait(async {
            let written = self.writer.put(&path, bytes.clone().into()).await;
            written
                .map(drop)
                .map_err(|e| store_error(&name, &e, &self.secrets))
        })
    }

    /// Whether an object is there.
    ///
    /// # Errors
    /// See [`crate::store::Store::has`].
    pub fn has(&self, name: &str) -> Result<bool> {
        let (path, name) = (self.prefix.clone().join(name), self.location.name_of(name));
        self.wait(async {
            match self.reader.head(&path).await {
                Ok(_) => Ok(true),
                Err(object_store::Error::NotFound { .. }) => Ok(false),
                Err(error) => Err(store_error(&name, &error, &self.secrets)),
            }
        })
    }
}

impl Drop for Remote {
    fn drop(&mut self) {
        // A name that is still looked up is not waited for.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

fn seconds(time: Duration) -> String {
    format!("{} seconds", time.as_secs())
}

/// How requests are repeated that fail for now.
fn retry() -> RetryConfig {
    RetryConfig {
        backoff: BackoffConfig {
            init_backoff: Duration::from_millis(100),
            max_backoff: Duration::from_secs(10),
            base: 2.0,
        },
        max_retries: RETRIES,
        retry_timeout: Duration::from_secs(120),
    }
}

/// Checks that the environment has credentials, and allows what the endpoint needs. Without that, the credentials of a
/// machine at Amazon would be asked for, for minutes if this is none.
fn check_environment(builder: &AmazonS3Builder, location: &Location) -> Result<()> {
    use AmazonS3ConfigKey as Key;
    let has = |key: Key| builder.get_config_value(&key).is_some();
    let is_on = |key: Key| {
        let value = builder.get_config_value(&key).unwrap_or_default();
        // As object_store reads them.
        ["1", "true", "on", "yes", "y"].contains(&value.to_ascii_lowercase().as_str())
    };
    let known = [
        Key::WebIdentityTokenFile,
        Key::ContainerCredentialsRelativeUri,
        Key::ContainerCredentialsFullUri,
        Key::MetadataEndpoint,
    ];
    let has_keys = has(Key::AccessKeyId) && has(Key::SecretAccessKey);
    if !has_keys && !is_on(Key::SkipSignature) && !known.into_iter().any(has) {
        return Err(Error::Argument(format!(
            "{location}: no credentials in the environment, expected AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or \
             AWS_SKIP_SIGNATURE=true for a public bucket, or AWS_METADATA_ENDPOINT on a machine with a role"
        )));
    }
    let endpoint = [Key::S3Endpoint, Key::Endpoint].map(|key| builder.get_config_value(&key));
    let is_plain = endpoint
        .iter()
        .flatten()
        .any(|url| url.starts_with("http://"));
    if is_plain && !is_on(Key::Client(ClientConfigKey::AllowHttp)) {
        return Err(Error::Argument(format!(
            "{location}: the endpoint in the environment is http://, which is not encrypted: AWS_ALLOW_HTTP=true allows it"
        )));
    }
    Ok(())
}

/// What a server said, in one line: without its page, and without credentials that it may have repeated.
fn store_error(name: &str, error: &object_store::Error, secrets: &[String]) -> Error {
    use object_store::Error as Found;
    let refused = match error {
        Found::NotFound { .. } if error.to_string().contains("NoSuchBucket") => {
            "is not there: there is no such bucket"
        }
        Found::NotFound { .. } => "is not there",
        Found::PermissionDenied { .. } => "the server refuses access with these credentials",
        Found::Unauthenticated { .. } => "the server wants other credentials",
        other => {
            return Error::Store {
                name: name.to_owned(),
                what: format!("cannot be reached or read: {}", root_cause(other, secrets)),
            };
        }
    };
    Error::Refused {
        name: name.to_owned(),
        what: refused.to_owned(),
    }
}

/// The innermost cause of an error.
fn root_cause(error: &object_store::Error, secrets: &[String]) -> String {
    let mut cause: &dyn StdError = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    let mut text = cause.to_string();
    let page = text.find('<').unwrap_or(text.len());
    text.truncate(page);
    for secret in secrets {
        text = text.replace(secret, "…");
    }
    let short: String = text
        .trim_end_matches([' ', ':'])
        .chars()
        .take(200)
        .collect();
    short
}
