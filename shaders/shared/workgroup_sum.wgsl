// Sum over the threads of a workgroup, returned to every thread: a tree in workgroup memory.

override THREADS: u32 = 64u;

struct Thread {
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) index: u32,
};

var<workgroup> partial_sums: array<f32, THREADS>;

fn workgroup_sum(thread: Thread, value: f32) -> f32 {
    partial_sums[thread.index] = value;
    workgroupBarrier();
    for (var half = THREADS / 2u; half > 0u; half /= 2u) {
        if thread.index < half {
            partial_sums[thread.index] += partial_sums[thread.index + half];
        }
        workgroupBarrier();
    }
    return partial_sums[0];
}
