// Sum over the threads of a workgroup, returned to every thread: one partial sum per subgroup.

override THREADS: u32 = 64u;

struct Thread {
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) index: u32,
    @builtin(subgroup_id) subgroup: u32,
    @builtin(num_subgroups) subgroups: u32,
    @builtin(subgroup_invocation_id) lane: u32,
};

var<workgroup> partial_sums: array<f32, THREADS>;

fn workgroup_sum(thread: Thread, value: f32) -> f32 {
    let subtotal = subgroupAdd(value);
    if thread.lane == 0u {
        partial_sums[thread.subgroup] = subtotal;
    }
    workgroupBarrier();
    var sum = 0.0;
    for (var i = 0u; i < thread.subgroups; i += 1u) {
        sum += partial_sums[i];
    }
    return sum;
}
