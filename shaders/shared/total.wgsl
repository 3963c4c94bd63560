// A sum over the threads of a workgroup, for every one of them, by the workgroup's memory.

override THREADS: u32 = 64u;

struct Place {
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) index: u32,
};

var<workgroup> sums: array<f32, THREADS>;

fn total(place: Place, value: f32) -> f32 {
    sums[place.index] = value;
    workgroupBarrier();
    for (var half = THREADS / 2u; half > 0u; half /= 2u) {
        if place.index < half {
            sums[place.index] += sums[place.index + half];
        }
        workgroupBarrier();
    }
    return sums[0];
}
