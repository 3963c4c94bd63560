// A sum over the threads of a workgroup, for every one of them, subgroup by subgroup.

override THREADS: u32 = 64u;

struct Place {
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) index: u32,
    @builtin(subgroup_id) subgroup: u32,
    @builtin(num_subgroups) subgroups: u32,
    @builtin(subgroup_invocation_id) lane: u32,
};

var<workgroup> sums: array<f32, THREADS>;

fn total(place: Place, value: f32) -> f32 {
    let part = subgroupAdd(value);
    if place.lane == 0u {
        sums[place.subgroup] = part;
    }
    workgroupBarrier();
    var sum = 0.0;
    for (var i = 0u; i < place.subgroups; i += 1u) {
        sum += sums[i];
    }
    return sum;
}
