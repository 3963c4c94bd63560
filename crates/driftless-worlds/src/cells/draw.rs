//! Draws the light of cells, before the microscope.

use std::f32::consts::{PI, TAU};

use super::SIZE;
use super::morphology::{
    ACTIN, AREA, AXIS_RATIO, CORTEX, CellNoise, DIFFUSE, DNA, FIBRE_WIDTH, FIBRES, FOCI,
    IRREGULARITY, LOBES, MOST_FIBRES, MOST_SPOTS, MOST_STRESS, OneCell, PERSISTENCE, Parameters,
    RADIUS, ROUGHNESS, STRESS, VESICLES,
};

/// Directions in which the outline of a cell is computed; between them it is interpolated.
const DIRECTIONS: usize = 128;

/// The light of DNA, actin and tubulin, each [64·64], of all cells with their parameters shifted.
pub(super) fn draw(noise: &CellNoise, shift: &Parameters) -> [Vec<f32>; 3] {
    let mut light = [(); 3].map(|()| vec![0.0; SIZE * SIZE]);
    for cell in &noise.cells {
        Drawing::new(cell, &cell.base.shifted(shift)).draw(&mut light);
    }
    light
}

/// A cell with its parameters in plain units.
struct Drawing<'a> {
    cell: &'a OneCell,
    radius: f32,
    /// Distance of the outline from the centre in [`DIRECTIONS`] directions.
    outline: [f32; DIRECTIONS],
    nucleus: [f32; 2],
    /// Half axes of the whole nucleus.
    axes: [f32; 2],
    /// (centre, scale) of the lobes.
    lobes: Vec<([f32; 2], f32)>,
    p: Parameters,
}

impl<'a> Drawing<'a> {
    fn new(cell: &'a OneCell, p: &Parameters) -> Self {
        let value = |i: usize| p.0[i];
        let mean = (value(AREA).exp() / PI).sqrt();
        let ratio = value(AXIS_RATIO).clamp(0.0, 1.0).exp().sqrt();
        let radius = value(RADIUS).exp().clamp(1.35 * mean, 30.0);
        let nucleus = [0, 1].map(|i| cell.centre[i] + radius * cell.nucleus_offset[i]);
        let mut drawing = Self {
            cell,
            radius,
            outline: outline(cell, radius, value(IRREGULARITY).max(0.0)),
            nucleus,
            axes: [mean * ratio, mean / ratio],
            lobes: Vec::new(),
            p: *p,
        };
        drawing.lobes = drawing.part(value(LOBES), mean);
        drawing
    }

    /// Where the lobes of the nucleus are: a part that grows moves away from the others.
    fn part(&self, count: f32, mean: f32) -> Vec<([f32; 2], f32)> {
        let grown = [
            1.0,
            (count - 1.0).clamp(0.0, 1.0),
            (count - 2.0).clamp(0.0, 1.0),
        ];
        // All lobes together keep the area.
        let sizes: [f32; 3] = [1.0, 0.9 * grown[1], 0.75 * grown[2]];
        let scale = sizes.iter().map(|s| s * s).sum::<f32>().sqrt().recip();
        let away = mean * (0.75 * grown[1] + 0.15 * grown[2]);
        let lobe = |i: usize| {
            let angle = self.cell.lobe_angle + i as f32 * (PI - 0.9 * grown[2]);
            let centre = [
                self.nucleus[0] + away * angle.cos(),
                self.nucleus[1] + away * angle.sin(),
            ];
            (centre, sizes[i] * scale)
        };
        (0..3).filter(|i| sizes[*i] > 0.05).map(lobe).collect()
    }

    /// Distance of the outline from the centre in the direction of (dx, dy).
    fn outline(&self, dx: f32, dy: f32) -> f32 {
        let at = (dy.atan2(dx) / TAU).rem_euclid(1.0) * DIRECTIONS as f32;
        let (low, share) = (at as usize % DIRECTIONS, at.fract());
        let high = (low + 1) % DIRECTIONS;
        self.outline[low] * (1.0 - share) + self.outline[high] * share
    }

    /// How far a point is inside the nucleus: 1 in the middle of a lobe, 0 at its edge, below outside.
    fn depth(&self, x: f32, y: f32) -> f32 {
        let (sin, cos) = self.cell.nucleus_angle.sin_cos();
        let inside = self.lobes.iter().map(|(centre, scale)| {
            let (dx, dy) = (x - centre[0], y - centre[1]);
            let along = (dx * cos + dy * sin) / (self.axes[0] * scale);
            let across = (dy * cos - dx * sin) / (self.axes[1] * scale);
            1.0 - (along * along + across * across).sqrt()
        });
        inside.fold(f32::NEG_INFINITY, f32::max)
    }

    fn draw(&self, light: &mut [Vec<f32>; 3]) {
        let value = |i: usize| self.p.0[i];
        let (dna, actin) = (value(DNA).exp(), value(ACTIN).exp());
        let (diffuse, cortex) = (value(DIFFUSE).exp(), value(CORTEX).exp());
        let roughness = value(ROUGHNESS).max(0.0);
        let edge = 0.5 * (self.axes[0] + self.axes[1]);
        for at in 0..SIZE * SIZE {
            let (y, x) = ((at / SIZE) as f32, (at % SIZE) as f32);
            let (dx, dy) = (x - self.cell.centre[0], y - self.cell.centre[1]);
            let distance = (dx * dx + dy * dy).sqrt();
            let outline = self.outline(dx, dy);
            let inside = smooth(outline - distance);
            if inside <= 0.0 && distance > outline + 6.0 {
                continue;
            }
            let depth = self.depth(x, y);
            let nucleus = smooth(depth * edge);
            if nucleus > 0.0 {
                let waves = self.cell.chromatin.iter();
                let texture: f32 = waves.map(|[a, b, c]| (a * x + b * y + c).cos()).sum();
                let texture = 1.0 + roughness * 0.45 * texture;
                let dome = 0.75 + 0.25 * depth.clamp(0.0, 1.0);
                light[0][at] += dna * nucleus * dome * texture.max(0.1);
            }
            // Thicker around the nucleus.
            let height = (1.0 - (distance / outline).powi(2)).max(0.0).sqrt();
            let band = (-((outline - distance - cortex) / cortex).powi(2)).exp();
            light[1][at] += actin * (0.22 * inside * (0.5 + height) + 0.75 * band);
            let cytoplasm = inside * (1.0 - 0.75 * nucleus);
            light[2][at] += diffuse * cytoplasm * (0.35 + height);
        }
        self.stress_fibres(actin, &mut light[1]);
        self.microtubules(&mut light[2]);
        self.spots(dna, actin, light);
    }

    /// Bundles of actin across the cell, nearly parallel.
    fn stress_fibres(&self, actin: f32, light: &mut [f32]) {
        let count = self.p.0[STRESS].clamp(0.0, MOST_STRESS as f32);
        for (i, [across, turn, brightness]) in self.cell.stress.iter().enumerate() {
            let weight = share(count, i) * brightness * actin;
            if weight <= 0.0 {
                continue;
            }
            let (sin, cos) = (self.cell.stress_angle + turn).sin_cos();
            let offset = 0.8 * across * self.radius;
            let reach = self.radius * 1.3;
            let mut along = -reach;
            while along < reach {
                let x = self.cell.centre[0] + along * cos - offset * sin;
                let y = self.cell.centre[1] + along * sin + offset * cos;
                if self.contains(x, y, 0.94) {
                    deposit(light, x, y, 0.45 * weight);
                }
                along += 0.5;
            }
        }
    }

    /// Whether a point is within a share of the outline.
    fn contains(&self, x: f32, y: f32, share: f32) -> bool {
        let (dx, dy) = (x - self.cell.centre[0], y - self.cell.centre[1]);
        let r = share * self.outline(dx, dy);
        dx * dx + dy * dy < r * r
    }

    /// Random walks from the edge of the nucleus outward (a persistent random walk).
    fn microtubules(&self, light: &mut [f32]) {
        let count = self.p.0[FIBRES].exp().clamp(0.0, MOST_FIBRES as f32);
        let wander = 1.1 * (1.0 - self.p.0[PERSISTENCE].clamp(0.0, 1.0));
        let width = self.p.0[FIBRE_WIDTH].exp();
        let start = 0.85 * self.axes[1];
        for (i, fibre) in self.cell.fibres.iter().enumerate() {
            let weight = share(count, i) * fibre.brightness * 0.24;
            if weight <= 0.0 {
                continue;
            }
            let (mut x, mut y) = (
                self.nucleus[0] + start * fibre.angle.cos(),
                self.nucleus[1] + start * fibre.angle.sin(),
            );
            let mut heading = fibre.angle;
            for turn in fibre.turns {
                if !self.contains(x, y, 0.95) {
                    break;
                }
                deposit(light, x, y, weight);
                if width > 1.0 {
                    // A bundle: a second microtubule beside it.
                    let (dx, dy) = (-heading.sin() * 0.8, heading.cos() * 0.8);
                    deposit(light, x + dx, y + dy, weight * (width - 1.0).min(1.5));
                }
                let away = (y - self.nucleus[1]).atan2(x - self.nucleus[0]);
                let off = (away - heading + PI).rem_euclid(TAU) - PI;
                heading += wander * turn + 0.25 * off;
                (x, y) = (x + heading.cos(), y + heading.sin());
            }
        }
    }

    /// Foci in the nucleus and vesicles around it.
    fn spots(&self, dna: f32, actin: f32, light: &mut [Vec<f32>; 3]) {
        let most = MOST_SPOTS as f32;
        for (i, [share_of_radius, angle, brightness]) in self.cell.foci.iter().enumerate() {
            let weight = share(self.p.0[FOCI].clamp(0.0, most), i) * brightness;
            let r = 0.8 * share_of_radius * self.axes[1];
            let (x, y) = (
                self.nucleus[0] + r * angle.cos(),
                self.nucleus[1] + r * angle.sin(),
            );
            if weight > 0.0 && self.depth(x, y) > 0.05 {
                deposit(&mut light[0], x, y, 0.9 * dna * weight);
            }
        }
        for (i, [share_of_radius, angle, brightness]) in self.cell.vesicles.iter().enumerate() {
            let weight = share(self.p.0[VESICLES].clamp(0.0, most), i) * brightness;
            let r = self.axes[0] + share_of_radius * 0.6 * (self.radius - self.axes[0]).max(0.0);
            let (x, y) = (
                self.nucleus[0] + r * angle.cos(),
                self.nucleus[1] + r * angle.sin(),
            );
            if weight > 0.0 && self.contains(x, y, 0.95) {
                deposit(&mut light[1], x, y, 2.4 * actin * weight);
            }
        }
    }
}

/// The star-shaped outline: a circle with harmonics.
fn outline(cell: &OneCell, radius: f32, irregularity: f32) -> [f32; DIRECTIONS] {
    std::array::from_fn(|i| {
        let angle = i as f32 * TAU / DIRECTIONS as f32;
        let mut r = 1.0;
        for (k, [size, phase]) in cell.outline.iter().enumerate() {
            r += irregularity * size * ((k + 2) as f32 * angle + phase).cos();
        }
        radius * r.clamp(0.45, 1.6)
    })
}

/// How much of the i-th of `count` things is there, so that a count can be a fraction.
fn share(count: f32, i: usize) -> f32 {
    (count - i as f32).clamp(0.0, 1.0)
}

/// From 0 to 1 over two pixels around an edge.
fn smooth(distance: f32) -> f32 {
    let t = (distance * 0.5 + 0.5).clamp(0.0, 1.0);
    t * t * (3.0 - 2.0 * t)
}

/// Adds light to the four pixels around a point.
fn deposit(light: &mut [f32], x: f32, y: f32, amount: f32) {
    let (column, row) = (x.floor(), y.floor());
    let (right, down) = (x - column, y - row);
    for (dy, share_y) in [(0, 1.0 - down), (1, down)] {
        for (dx, share_x) in [(0, 1.0 - right), (1, right)] {
            let (row, column) = (row as i32 + dy, column as i32 + dx);
            let side = 0..SIZE as i32;
            if side.contains(&row) && side.contains(&column) {
                light[row as usize * SIZE + column as usize] += amount * share_x * share_y;
            }
        }
    }
}
