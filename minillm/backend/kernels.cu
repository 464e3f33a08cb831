// The GPU's bodies of normalisation, lookups, dropout, cross-entropy and attention.
//
// Read each beside its definition in `ops/`. A kernel is what one *thread* does.
// Threads come in *warps* of 32 that go in step, warps in *blocks*: these can wait for
// each other (`__syncthreads`) and share a little fast memory (`__shared__`). Blocks
// know nothing of one another. So every number here has one thread that writes it, and
// every sum has one order: two runs agree bit for bit. By `atomicAdd` they would not.
//
// `cuda_kernels.py` compiles this text when a kernel is first wanted: the attention
// kernels with -DHEAD=<width of a head>, all others without.

#define ALL 0xffffffffu  // every lane of a warp
#define INFINITE __int_as_float(0x7f800000)
#ifndef DYNAMIC  // shared memory of the length that a launch asks for
#define DYNAMIC(type, x) extern __shared__ type x[]
#endif

// The sum, or the largest, of one number from each lane of a warp: in five steps every
// lane learns that of 2, 4, … 32 lanes.
__device__ inline float warp_sum(float x) {
    for (int bit = 1; bit < 32; bit *= 2) x += __shfl_xor_sync(ALL, x, bit);
    return x;
}

__device__ inline float warp_max(float x) {
    for (int bit = 1; bit < 32; bit *= 2) x = fmaxf(x, __shfl_xor_sync(ALL, x, bit));
    return x;
}

#ifndef HEAD

// -------------------------------------------- layer_norm and rms_norm (ops/neural.py)
// One warp a row of x (n, width). With CENTRED it is layer norm; without, the mean is
// not taken off, and it is RMS norm (Zhang & Sennrich 2019).

template <bool CENTRED>
__device__ void norm(
    const float* x, const float* gain, const float* bias, float* y, float* means,
    float* inverse_sds, int n, int width, float eps)
{
    int lane = threadIdx.x % 32;
    int row = (blockIdx.x * blockDim.x + threadIdx.x) / 32;
    if (row >= n) return;
    x += (size_t)row * width, y += (size_t)row * width;
    float sum = 0, squares = 0;
    if (CENTRED)
        for (int i = lane; i < width; i += 32) sum += x[i];
    float mean = warp_sum(sum) / width;
    for (int i = lane; i < width; i += 32) squares += (x[i] - mean) * (x[i] - mean);
    float inverse_sd = rsqrtf(warp_sum(squares) / width + eps);
    for (int i = lane; i < width; i += 32)
        y[i] = (x[i] - mean) * inverse_sd * gain[i] + (bias ? bias[i] : 0);
    if (lane == 0) {  // for the backward pass
        if (CENTRED) means[row] = mean;
        inverse_sds[row] = inverse_sd;
    }
}

// The gradient of x; of gain and bias each block's share, the sums over its own rows:
// shares (blocks, 2, width). `rows` is how many rows a block has.
template <bool CENTRED>
__device__ void norm_backward(
    const float* g, const float* x, const float* gain, const float* means,
    const float* inverse_sds, float* gx, float* shares, int n, int width, int rows)
{
    DYNAMIC(float, sums);  // (warps, 2, width): each warp adds up its own
    int lane = threadIdx.x % 32, warp = threadIdx.x / 32, warps = blockDim.x / 32;
    float* of_gain = sums + warp * 2 * width;
    float* of_bias = of_gain + width;
    for (int i = lane; i < width; i += 32) of_gain[i] = of_bias[i] = 0;
    int begin = blockIdx.x * rows, end = min(n, begin + rows);
    for (int row = begin + warp; row < end; row += warps) {
        const float* gs = g + (size_t)row * width;
        const float* xs = x + (size_t)row * width;
        float mean = CENTRED ? means[row] : 0, inverse_sd = inverse_sds[row];
        float sum = 0, product = 0;  // of gu, the gradient of the unit vector
        for (int i = lane; i < width; i += 32) {
            float gu = gs[i] * gain[i], unit = (xs[i] - mean) * inverse_sd;
            sum += gu;
            product += gu * unit;
        }
        float mean_gu = CENTRED ? warp_sum(sum) / width : 0;
        float along = warp_sum(product) / width;
        for (int i = lane; i < width; i += 32) {
            float unit = (xs[i] - mean) * inverse_sd;
            gx[(size_t)row * width + i] =
                (gs[i] * gain[i] - mean_gu - unit * along) * inverse_sd;
            of_gain[i] += gs[i] * unit;
            of_bias[i] += gs[i];
        }
    }
    __syncthreads();
    for (int i = threadIdx.x; i < 2 * width; i += blockDim.x) {
        float total = 0;
        for (int w = 0; w < warps; ++w) total += sums[w * 2 * width + i];
        shares[(size_t)blockIdx.x * 2 * width + i] = total;
    }
}

extern "C" __global__ void layer_norm(
    const float* x, const float* gain, const float* bias, float* y, float* means,
    float* inverse_sds, int n, int width, float eps)
{ norm<true>(x, gain, bias, y, means, inverse_sds, n, width, eps); }

extern "C" __global__ void layer_norm_backward(
    const float* g, const float* x, const float* gain, const float* means,
    const float* inverse_sds, float* gx, float* shares, int n, int width, int rows)
{ norm_backward<true>(g, x, gain, means, inverse_sds, gx, shares, n, width, rows); }

extern "C" __global__ void rms_norm(
    const float* x, const float* gain, float* y, float* inverse_rms, int n, int width,
    float eps)
{ norm<false>(x, gain, 0, y, 0, inverse_rms, n, width, eps); }

extern "C" __global__ void rms_norm_backward(
    const float* g, const float* x, const float* gain, const float* inverse_rms,
    float* gx, float* shares, int n, int width, int rows)
{ norm_backward<false>(g, x, gain, 0, inverse_rms, gx, shares, n, width, rows); }

// The gradients of gain and bias: the sums of all blocks' shares, always in one order,
// or with `add` what is there and these sums. A block has 32 columns; each of its warps
// adds up every so-many-th share, then the first warp adds up what the warps found.

extern "C" __global__ void add_shares(
    const float* shares, float* of_gain, float* of_bias, int n, int width, int add)
{
    __shared__ float found[8][32];  // 8 warps
    int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    int column = blockIdx.x * 32 + lane;  // of 2 · width
    float total = 0;
    if (column < 2 * width)
        for (int row = warp; row < n; row += 8)
            total += shares[(size_t)row * 2 * width + column];
    found[warp][lane] = total;
    __syncthreads();
    float* sum = column < width ? of_gain + column : of_bias + column - width;
    if (warp > 0 || column >= 2 * width || (column >= width && !of_bias)) return;
    for (int w = 1; w < 8; ++w) total += found[w][lane];
    *sum = add ? *sum + total : total;
}

// ------------------------------------ the gradient of `embedding` (ops/neural.py)
// The rows of g, sorted by id, lie in runs of one id. A block adds up one run: row
// `order[j]` of g for each j from begins[run] to begins[run + 1], into row `to[run]`.
// Without `order` the rows are in order, without `to` the sums are. With `add` a sum is
// added to what is there.

extern "C" __global__ void add_runs(
    const float* g, const int* order, const int* begins, const int* to, float* sums,
    int width, int add)
{
    int begin = begins[blockIdx.x], end = begins[blockIdx.x + 1];
    int row = to ? to[blockIdx.x] : blockIdx.x;
    for (int i = threadIdx.x; i < width; i += blockDim.x) {
        float total = 0;
#pragma unroll 4
        for (int j = begin; j < end; ++j)
            total += g[(size_t)(order ? order[j] : j) * width + i];
        float* sum = sums + (size_t)row * width + i;
        *sum = add ? *sum + total : total;
    }
}

// ------------------------------------------------------- dropout (ops/neural.py)
// What a mask is made of is cheaper to compute again than to keep: the same kernel
// drops from the gradient what it has dropped from x.

__device__ inline unsigned scrambled(unsigned h) {  // MurmurHash3's last step
    h ^= h >> 16, h *= 0x85EBCA6B;
    h ^= h >> 13, h *= 0xC2B2AE35;
    return h ^ h >> 16;
}

extern "C" __global__ void dropout(
    const float* x, float* y, int n, unsigned first, unsigned key, unsigned least,
    float scale)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    bool kept = scrambled(scrambled(first + i) ^ key) >= least;
    y[i] = kept ? x[i] * scale : 0;
}

// ----------------------------------------------------- cross_entropy (ops/loss.py)
// One block a row of logits, which becomes the row's gradient in place: that of the
// row's loss, divided by *n_targets. A row without a target (below 0) has loss 0 and
// gradient 0.

extern "C" __global__ void cross_entropy(
    float* logits, const int* targets, const float* n_targets, float* losses,
    int vocab_size)
{
    __shared__ float largests[32], totals[32];  // one for each warp
    int lane = threadIdx.x % 32, warp = threadIdx.x / 32, warps = blockDim.x / 32;
    int target = targets[blockIdx.x];
    logits += (size_t)blockIdx.x * vocab_size;
    if (target < 0) {
        for (int i = threadIdx.x; i < vocab_size; i += blockDim.x) logits[i] = 0;
        if (threadIdx.x == 0) losses[blockIdx.x] = 0;
        return;
    }
    float largest = -INFINITE, total = 0;  // total = Σ exp(logit − largest)
    for (int i = threadIdx.x; i < vocab_size; i += blockDim.x) {
        float x = logits[i];
        if (x > largest) {
            total *= expf(largest - x);
            largest = x;
        }
        total += expf(x - largest);
    }
    float of_warp = warp_max(largest);
    // A thread without a logit has added up nothing: 0, not 0 · exp(−∞ + ∞).
    total = warp_sum(total == 0 ? 0 : total * expf(largest - of_warp));
    if (lane == 0) largests[warp] = of_warp, totals[warp] = total;
    __syncthreads();
    largest = largests[0];
    for (int w = 1; w < warps; ++w) largest = fmaxf(largest, largests[w]);
    total = 0;
    for (int w = 0; w < warps; ++w)
        if (totals[w] != 0) total += totals[w] * expf(largests[w] - largest);
    float log_total = largest + logf(total), n = *n_targets;
    if (threadIdx.x == 0) losses[blockIdx.x] = log_total - logits[target];
    __syncthreads();  // the target's logit has been read
    for (int i = threadIdx.x; i < vocab_size; i += blockDim.x)
        logits[i] = (expf(logits[i] - log_total) - (i == target)) / n;
}

#else

// ------------------------------------------------------ attention (ops/attention.py)
// By online softmax (Milakov & Gimelshein 2018; Dao et al. 2022): scores never lie in
// memory. Keys and values pass by in tiles; a query keeps the largest score so far, and
// what was added up is shrunk when a larger one comes. The backward pass computes the
// scores once more.
//
// A block has ROWS queries (or keys). Each is the work of LANES neighbouring threads,
// which hold PART of its numbers each: more would not fit into a thread's registers.

#define LANES (HEAD > 32 ? 2 : 1)
#define PART (HEAD / LANES)
#define ROWS 64
#define TILE 32

// An array (batch, heads, rows, HEAD) whose rows may lie anywhere: q, k and v are views
// of one packed array. Its strides count numbers.
#define VIEW(type, x) type* x, int x##_batch, int x##_head, int x##_row
#define OF_HEAD(x, head) \
    (x + (size_t)blockIdx.z * x##_batch + (size_t)(head) * x##_head)

__device__ inline float over_lanes(float x) {
    for (int bit = 1; bit < LANES; bit *= 2) x += __shfl_xor_sync(ALL, x, bit);
    return x;
}

// Whether a query may look at a key. The last query lines up with the last key.
__device__ inline bool sees(
    int query, int key, int n_queries, int n_keys, int causal, const bool* key_mask)
{
    return query < n_queries && key < n_keys
        && (!causal || key - n_keys <= query - n_queries)
        && (!key_mask || key_mask[(size_t)blockIdx.z * n_keys + key]);
}

// This thread's part of a row, times a number; zeros beyond the last of n rows.
__device__ inline void take(
    float* mine, const float* rows, int stride, int row, int n, float scale)
{
    int part = threadIdx.x % LANES * PART;
#pragma unroll
    for (int d = 0; d < PART; ++d)
        mine[d] = row < n ? rows[(size_t)row * stride + part + d] * scale : 0;
}

__device__ inline void give(
    const float* mine, float* rows, int stride, int row, int n, float scale)
{
    int part = threadIdx.x % LANES * PART;
#pragma unroll
    for (int d = 0; d < PART; ++d)
        if (row < n) rows[(size_t)row * stride + part + d] = mine[d] * scale;
}

// Rows `begin` and on into a tile, by all threads of the block.
__device__ inline void fetch(
    float (*tile)[HEAD], const float* rows, int stride, int begin, int n)
{
    for (int i = threadIdx.x; i < TILE * HEAD; i += blockDim.x) {
        int row = begin + i / HEAD;
        tile[i / HEAD][i % HEAD] = row < n ? rows[(size_t)row * stride + i % HEAD] : 0;
    }
}

// x · y; sum += factor * x; sum *= factor: over this thread's part of a row
__device__ inline float dot(const float* x, const float* y) {
    float sum = 0;
#pragma unroll
    for (int d = 0; d < PART; ++d) sum += x[d] * y[d];
    return sum;
}

__device__ inline void add(float* sum, const float* x, float factor) {
#pragma unroll
    for (int d = 0; d < PART; ++d) sum[d] += factor * x[d];
}

__device__ inline void multiply(float* sum, float factor) {
#pragma unroll
    for (int d = 0; d < PART; ++d) sum[d] *= factor;
}

// `group` query heads look at one head of keys and values (Ainslie et al. 2023).
// log_totals (batch, heads, queries): log Σ exp(score), for the backward pass.
extern "C" __global__ void __launch_bounds__(ROWS * LANES) attention(
    VIEW(const float, q), VIEW(const float, k), VIEW(const float, v), VIEW(float, y),
    float* log_totals, const bool* key_mask, int n_queries, int n_keys, int group,
    int causal, float scale)
{
    __shared__ __align__(16) float ks[TILE][HEAD], vs[TILE][HEAD];
    int head = blockIdx.y, first = blockIdx.x * ROWS;
    int query = first + threadIdx.x / LANES, part = threadIdx.x % LANES * PART;
    float mine[PART], sum[PART] = {}, largest = -INFINITE, total = 0;
    take(mine, OF_HEAD(q, head), q_row, query, n_queries, scale);
    // No query of this block sees a key from `end` on.
    int end = causal ? min(n_keys, first + ROWS + n_keys - n_queries) : n_keys;
    for (int begin = 0; begin < end; begin += TILE) {
        __syncthreads();  // nobody reads the tile before any more
        fetch(ks, OF_HEAD(k, head / group), k_row, begin, n_keys);
        fetch(vs, OF_HEAD(v, head / group), v_row, begin, n_keys);
        __syncthreads();
        for (int j = 0; j < TILE; ++j) {
            float score = over_lanes(dot(mine, &ks[j][part]));
            if (!sees(query, begin + j, n_queries, n_keys, causal, key_mask)) continue;
            if (score > largest) {
                float shrink = expf(largest - score);
                largest = score;
                total *= shrink;
                multiply(sum, shrink);
            }
            float e = expf(score - largest);
            total += e;
            add(sum, &vs[j][part], e);
        }
    }
    // A query that sees nothing gets zeros.
    give(sum, OF_HEAD(y, head), y_row, query, n_queries, total == 0 ? 0 : 1 / total);
    if (part == 0 && query < n_queries)
        log_totals[((size_t)blockIdx.z * gridDim.y + head) * n_queries + query] =
            largest + logf(total);
}

// The gradient of the queries, and alongs = g · y of each, which that of the keys wants
// too: the gradient of a score is weight · (g · v − g · y), the weight exp(score −
// log_total).
extern "C" __global__ void __launch_bounds__(ROWS * LANES) attention_backward_queries(
    VIEW(const float, g), VIEW(const float, q), VIEW(const float, k),
    VIEW(const float, v), VIEW(const float, y), VIEW(float, gq),
    const float* log_totals, float* alongs, const bool* key_mask, int n_queries,
    int n_keys, int group, int causal, float scale)
{
    __shared__ __align__(16) float ks[TILE][HEAD], vs[TILE][HEAD];
    int head = blockIdx.y, first = blockIdx.x * ROWS;
    int query = first + threadIdx.x / LANES, part = threadIdx.x % LANES * PART;
    float mine[PART], gs[PART], sum[PART] = {}, log_total = 0;
    take(mine, OF_HEAD(y, head), y_row, query, n_queries, 1);
    take(gs, OF_HEAD(g, head), g_row, query, n_queries, 1);
    float along = over_lanes(dot(gs, mine));
    take(mine, OF_HEAD(q, head), q_row, query, n_queries, scale);
    if (query < n_queries) {
        size_t place = ((size_t)blockIdx.z * gridDim.y + head) * n_queries + query;
        log_total = log_totals[place];
        if (part == 0) alongs[place] = along;
    }
    int end = causal ? min(n_keys, first + ROWS + n_keys - n_queries) : n_keys;
    for (int begin = 0; begin < end; begin += TILE) {
        __syncthreads();
        fetch(ks, OF_HEAD(k, head / group), k_row, begin, n_keys);
        fetch(vs, OF_HEAD(v, head / group), v_row, begin, n_keys);
        __syncthreads();
        for (int j = 0; j < TILE; ++j) {
            float score = over_lanes(dot(mine, &ks[j][part]));
            float slope = over_lanes(dot(gs, &vs[j][part]));
            if (sees(query, begin + j, n_queries, n_keys, causal, key_mask))
                add(sum, &ks[j][part], expf(score - log_total) * (slope - along));
        }
    }
    give(sum, OF_HEAD(gq, head), gq_row, query, n_queries, scale);
}

// The gradients of keys and values: a block has ROWS keys of one head, and the queries
// of all heads of its group pass by.
extern "C" __global__ void __launch_bounds__(ROWS * LANES) attention_backward_keys(
    VIEW(const float, g), VIEW(const float, q), VIEW(const float, k),
    VIEW(const float, v), VIEW(float, gk), VIEW(float, gv), const float* log_totals,
    const float* alongs, const bool* key_mask, int n_queries, int n_keys, int group,
    int causal, float scale)
{
    __shared__ __align__(16) float qs[TILE][HEAD], gs[TILE][HEAD];
    __shared__ float log_total[TILE], along[TILE];
    int first = blockIdx.x * ROWS;
    int key = first + threadIdx.x / LANES, part = threadIdx.x % LANES * PART;
    float mine[PART], value[PART], sum_k[PART] = {}, sum_v[PART] = {};
    take(mine, OF_HEAD(k, blockIdx.y), k_row, key, n_keys, scale);
    take(value, OF_HEAD(v, blockIdx.y), v_row, key, n_keys, 1);
    // No query before this one sees a key of this block.
    int earliest = causal ? max(0, first - n_keys + n_queries) : 0;
    for (int head = blockIdx.y * group; head < (blockIdx.y + 1) * group; ++head) {
        for (int begin = earliest; begin < n_queries; begin += TILE) {
            __syncthreads();
            fetch(qs, OF_HEAD(q, head), q_row, begin, n_queries);
            fetch(gs, OF_HEAD(g, head), g_row, begin, n_queries);
            int query = begin + threadIdx.x;
            if (threadIdx.x < TILE && query < n_queries) {
                size_t row = (size_t)blockIdx.z * gridDim.y * group + head;
                log_total[threadIdx.x] = log_totals[row * n_queries + query];
                along[threadIdx.x] = alongs[row * n_queries + query];
            }
            __syncthreads();
            for (int j = 0; j < TILE; ++j) {
                float score = over_lanes(dot(mine, &qs[j][part]));
                float slope = over_lanes(dot(value, &gs[j][part]));
                if (sees(begin + j, key, n_queries, n_keys, causal, key_mask)) {
                    float weight = expf(score - log_total[j]);
                    add(sum_v, &gs[j][part], weight);
                    add(sum_k, &qs[j][part], weight * (slope - along[j]));
                }
            }
        }
    }
    give(sum_k, OF_HEAD(gk, blockIdx.y), gk_row, key, n_keys, scale);
    give(sum_v, OF_HEAD(gv, blockIdx.y), gv_row, key, n_keys, 1);
}

#endif
