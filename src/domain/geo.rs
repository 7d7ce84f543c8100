//! Locations, distances, and the H3 cells by which rooms near a location are found.

use h3o::{CellIndex, LatLng, Resolution};
use serde::{Deserialize, Serialize, Serializer};

use super::UserId;
use super::id::hash;

/// The mean radius of the earth.
const EARTH_RADIUS_METRES: f64 = 6_371_008.8;
/// Resolution of the cells by which locations are indexed: about 110 km across.
const CELL_RESOLUTION: Resolution = Resolution::Three;
/// Resolution of the sort key within such a cell: half a metre.
const FINE_RESOLUTION: Resolution = Resolution::Fifteen;
/// Resolutions of the cells that a search reads, finest first.
const SEARCHED_BY: [Resolution; 3] = [Resolution::Five, Resolution::Four, CELL_RESOLUTION];
/// Resolution of the cells in which the number of rooms is limited, about 16 km across: the finest that searches read,
/// so that what they read is limited too.
const LIMITED_RESOLUTION: Resolution = Resolution::Five;
/// Most cells that one search reads.
const MOST_CELLS: usize = 17;
/// Maximum distance of a location from the centre of its cell, in average edge lengths. Cells differ in size, and
/// composed cells have ragged edges: the maximum of four million random locations was 1.14.
const REACH_IN_EDGES: f64 = 1.25;
/// Degrees below this are zero: DynamoDB cannot store arbitrarily small numbers.
const TINY_DEGREES: f64 = 1e-12;

/// A location on earth.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Location {
    latitude: f64,
    longitude: f64,
}

/// A distance: finite and at least 0. Serialised as an integer if it is one.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd, Deserialize)]
#[serde(transparent)]
pub struct Metres(f64);

/// The key under which a location is indexed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GeoKey {
    pub cell: String,
    /// Sorts next to nearby locations.
    pub spot: String,
}

/// A range of sort keys within a cell, both ends included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CellRange {
    pub cell: String,
    pub from: String,
    pub to: String,
}

impl GeoKey {
    /// Separates the place and the creator.
    const TAG: char = '#';

    /// The key of a room that `creator` made there: so the rooms of a user are recognised where only keys are read.
    pub fn created_by(self, creator: &UserId) -> Self {
        Self { spot: self.spot + &Self::tag_of(creator), ..self }
    }

    /// What the keys of a user's rooms end with.
    pub fn tag_of(creator: &UserId) -> String {
        format!("{}{}", Self::TAG, &hash(&[creator.as_str()])[..8])
    }
}

impl Metres {
    /// A distance of so many metres.
    pub const fn new(metres: f64) -> Self {
        Self(metres)
    }

    /// The metres.
    pub const fn get(self) -> f64 {
        self.0
    }

    /// The longer of two distances.
    pub fn max(self, other: Self) -> Self {
        Self(self.0.max(other.0))
    }
}

impl Serialize for Metres {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // No distance on earth exceeds 20,016 km, far below the range of integers.
        if self.0.fract() == 0.0 { serializer.serialize_i64(self.0 as i64) } else { serializer.serialize_f64(self.0) }
    }
}

impl Location {
    /// `None` unless `latitude` is -90 to 90 and `longitude` -180 to 180 degrees.
    pub fn new(latitude: f64, longitude: f64) -> Option<Self> {
        let settled = |degrees: f64| if degrees.abs() < TINY_DEGREES { 0.0 } else { degrees };
        let on_earth = latitude.abs() <= 90.0 && longitude.abs() <= 180.0;
        on_earth.then(|| Self { latitude: settled(latitude), longitude: settled(longitude) })
    }

    /// Along the great circle, by the haversine formula.
    pub fn distance_to(self, other: Self) -> Option<Metres> {
        Some(Metres(self.point()?.distance_rads(other.point()?) * EARTH_RADIUS_METRES))
    }

    /// The key under which the location is indexed.
    pub fn geo_key(self) -> Option<GeoKey> {
        let spot = self.point()?.to_cell(FINE_RESOLUTION);
        Some(GeoKey { cell: spot.parent(CELL_RESOLUTION)?.to_string(), spot: spot.to_string() })
    }

    /// Ranges that cover everything within `radius`, and more: at most 17.
    pub fn around(self, radius: Metres) -> Vec<CellRange> {
        let cells = self.point().map(|point| cells_around(point, radius)).unwrap_or_default();
        cells.into_iter().filter_map(CellRange::of).collect()
    }

    /// The cell around the location in which the number of rooms is limited.
    pub fn limited_cell(self) -> Option<CellRange> {
        CellRange::of(self.point()?.to_cell(LIMITED_RESOLUTION))
    }

    fn point(self) -> Option<LatLng> {
        LatLng::new(self.latitude, self.longitude).ok()
    }
}

/// The cells that intersect the circle, at the finest resolution with few enough of them.
fn cells_around(point: LatLng, radius: Metres) -> Vec<CellIndex> {
    const RINGS: u32 = 4;
    for resolution in SEARCHED_BY {
        let reach = radius.0 + REACH_IN_EDGES * resolution.edge_length_m();
        let centre = point.to_cell(resolution);
        let near: Vec<(CellIndex, u32)> = centre
            .grid_disk_distances::<Vec<_>>(RINGS)
            .into_iter()
            .filter(|(cell, _)| point.distance_rads(LatLng::from(*cell)) * EARTH_RADIUS_METRES <= reach)
            .collect();
        // The cells that intersect a circle are contiguous: if the last ring has none, no ring after it has.
        let is_all = near.iter().all(|(_, ring)| *ring < RINGS);
        if (is_all && near.len() <= MOST_CELLS) || resolution == CELL_RESOLUTION {
            return near.into_iter().map(|(cell, _)| cell).collect();
        }
    }
    Vec::new()
}

impl CellRange {
    fn of(cell: CellIndex) -> Option<Self> {
        let last = cell.children_count(FINE_RESOLUTION).checked_sub(1)?;
        Some(Self {
            cell: cell.parent(CELL_RESOLUTION)?.to_string(),
            from: cell.child_at(0, FINE_RESOLUTION)?.to_string(),
            // Behind all that has more in its key than the place.
            to: format!("{}~", cell.child_at(last, FINE_RESOLUTION)?),
        })
    }

    #[cfg(test)]
    fn has(&self, filed: &GeoKey) -> bool {
        self.cell == filed.cell && (&self.from..=&self.to).contains(&&filed.spot)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn anywhere(dice: &mut fastrand::Rng) -> LatLng {
        let latitude = (2.0 * dice.f64() - 1.0).asin().to_degrees();
        LatLng::new(latitude, 360.0 * dice.f64() - 180.0).unwrap()
    }

    #[test]
    fn no_location_is_farther_from_the_centre_of_its_cell_than_searches_assume() {
        let mut dice = fastrand::Rng::with_seed(1);
        let count = std::env::var("PLACES").map_or(50_000, |count| count.parse().unwrap());
        let mut farthest = 0.0_f64;
        for _ in 0..count {
            let point = anywhere(&mut dice);
            let spot = point.to_cell(FINE_RESOLUTION);
            for resolution in SEARCHED_BY {
                let centre = LatLng::from(spot.parent(resolution).unwrap());
                farthest = farthest.max(point.distance_rads(centre) / resolution.edge_length_rads());
            }
        }
        println!("farthest: {farthest}");
        assert!(farthest < REACH_IN_EDGES);
    }

    #[test]
    fn everything_within_the_radius_is_in_one_of_few_ranges() {
        let mut dice = fastrand::Rng::with_seed(2);
        for _ in 0..3_000 {
            let centre = anywhere(&mut dice);
            let radius = Metres(10_000.0 + 40_000.0 * dice.f64());
            let location = Location::new(centre.lat(), centre.lng()).unwrap();
            let ranges = location.around(radius);
            assert!((1..=MOST_CELLS).contains(&ranges.len()), "{}", ranges.len());
            // On the edge of the circle.
            let bearing = std::f64::consts::TAU * dice.f64();
            let (latitude, angle) = (centre.lat_radians(), radius.0 / EARTH_RADIUS_METRES);
            let north = (latitude.sin() * angle.cos() + latitude.cos() * angle.sin() * bearing.cos()).asin();
            let east = (bearing.sin() * angle.sin() * latitude.cos()).atan2(angle.cos() - latitude.sin() * north.sin());
            let longitude = (centre.lng() + east.to_degrees() + 540.0).rem_euclid(360.0) - 180.0;
            let rim = Location::new(north.to_degrees(), longitude).unwrap();
            let filed = rim.geo_key().unwrap();
            assert!(ranges.iter().any(|range| range.has(&filed)), "{location:?} {radius:?} {rim:?}");
        }
    }

    #[test]
    fn distances_are_exact_across_the_antimeridian_and_at_the_poles() {
        let distance = |a: (f64, f64), b: (f64, f64)| {
            Location::new(a.0, a.1).unwrap().distance_to(Location::new(b.0, b.1).unwrap()).unwrap().0
        };
        let degree = EARTH_RADIUS_METRES.to_radians();
        assert!((distance((0.0, 179.5), (0.0, -179.5)) - degree).abs() < 1e-6);
        assert!((distance((89.5, 0.0), (89.5, 180.0)) - degree).abs() < 1e-6);
        assert!(distance((-90.0, 17.0), (-90.0, -120.0)) < 1e-6);
        assert!(distance((12.0, 180.0), (12.0, -180.0)) < 1e-6);
    }

    #[test]
    fn coordinates_out_of_range_are_refused() {
        for (latitude, longitude) in [(90.1, 0.0), (0.0, -180.1), (f64::NAN, 0.0), (0.0, f64::INFINITY)] {
            assert!(Location::new(latitude, longitude).is_none());
        }
        assert_eq!(Location::new(-0.0, 1e-300), Location::new(0.0, 0.0));
    }
}
