// CUDA C on a CPU: a GPU in one file, for tests.
//
// g++ compiles a kernel file unchanged behind this one. Blocks run one after the other.
// The threads of a block are *fibers*: each has a stack of its own, and runs until it
// waits (`__syncthreads`, a shuffle) or ends. Then another takes its turn. Turns go
// forward, backward or at random: a kernel in which a barrier is missing gives another
// result in another order.
//
// What a GPU leaves undefined is an error here:
// - a barrier that some threads of the block never reach, or reach on another line;
// - a shuffle that some lanes of its mask never reach, or from a lane outside it;
// - shared memory that is read before it is written: it is filled with NaN, or, where
//   threads go backward, with 3e38 in each number;
// - memory that is nobody's.
// Compiled with -fsanitize=thread, races between the threads of a block are found, with
// -fsanitize=address what lies beyond an array.
#pragma once
#include <cmath>
#include <csetjmp>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <tuple>
#include <ucontext.h>
#include <utility>

// ------------------------------------------------------------------ the words of CUDA
#define __global__
#define __device__
#define __launch_bounds__(...)
#define __align__(n) __attribute__((aligned(n)))
// One block runs at a time, so its shared memory may be static: all of it lies in a
// section of its own, which is filled anew before each block.
#define __shared__ static __attribute__((section("shared_memory")))
// `extern __shared__ float x[]` has the length that the launch asks for.
#define DYNAMIC(type, x) type* x = (type*)on_cpu::dynamic

struct dim3 { unsigned x = 1, y = 1, z = 1; };
static dim3 threadIdx, blockIdx, blockDim, gridDim;

#ifdef __SANITIZE_THREAD__  // to it each fiber is a thread; only barriers order them
extern "C" void* __tsan_create_fiber(unsigned);
extern "C" void* __tsan_get_current_fiber();
extern "C" void __tsan_switch_to_fiber(void*, unsigned);
extern "C" void __tsan_acquire(void*);
extern "C" void __tsan_release(void*);
#define TSAN(...) __VA_ARGS__
#else
#define TSAN(...)
#endif
#if defined __SANITIZE_THREAD__ || defined __SANITIZE_ADDRESS__
#define UNLESS_WATCHED(...)
#else
#define UNLESS_WATCHED(...) __VA_ARGS__
#endif
// What the fibers do between the lines of a kernel is no race and no overflow.
#define UNWATCHED __attribute__((no_sanitize("thread"), no_sanitize("address")))

extern char __start_shared_memory[] __attribute__((weak, visibility("hidden")));
extern char __stop_shared_memory[] __attribute__((weak, visibility("hidden")));

namespace on_cpu {

enum State { RUNS, AT_BARRIER, AT_SHUFFLE, ENDED };

struct Fiber {
    ucontext_t context;  // where it begins
    jmp_buf place;       // where it goes on
    bool begun;
    State state;
    int line;         // where it waits
    unsigned mask;    // the lanes it waits for
    unsigned passed;  // shuffles so far: which of two sets of slots is next
    void* tsan = nullptr;
    unsigned waits[2];  // so far: at barriers, at shuffles
};

static const unsigned MOST = 1024;  // threads of a block
static const size_t STACK = 64 * 1024;
static const size_t GUARD = 0 UNLESS_WATCHED(+ 64 * 1024);  // around shared memory
// Plain arrays: what std::vector does in its own functions would be watched.
static Fiber fibers[MOST];
static char stacks[MOST][STACK];
static uint64_t slots[2][MOST];  // what a thread shuffles, in turns
static unsigned turns[MOST];     // the order in which threads run
static unsigned n_threads;
static char* dynamic;  // shared memory of the length that the launch asks for
static unsigned current;
static int order = 0;  // 0 forward, 1 backward, else the seed of a random order
static char message[200];
static ucontext_t scheduler;
static jmp_buf scheduler_place;
static void* tsan_scheduler;
// What a fiber releases when it comes to a barrier, and all acquire when they go on:
// of the block and of each warp, in turns. And the begin of a block, and its end.
static char tsan_gates[33][2], tsan_begin, tsan_end;

UNWATCHED inline void set_index(unsigned i) {
    threadIdx = {i % blockDim.x, i / blockDim.x % blockDim.y,
                 i / (blockDim.x * blockDim.y)};
}

// `swapcontext` asks Linux for the mask of signals each time, which takes longer than
// what most threads compute: without a sanitizer a fiber goes on by `_longjmp`.
UNWATCHED inline void switch_to(Fiber& fiber) {
    TSAN(__tsan_switch_to_fiber(fiber.tsan, 1);)
    UNLESS_WATCHED(
        if (_setjmp(scheduler_place)) return;
        if (fiber.begun) _longjmp(fiber.place, 1);
        fiber.begun = true;
        setcontext(&fiber.context);)
    swapcontext(&scheduler, &fiber.context);
}

UNWATCHED inline void switch_to_scheduler(Fiber& me) {
    TSAN(__tsan_switch_to_fiber(tsan_scheduler, 1);)
    UNLESS_WATCHED(
        if (!_setjmp(me.place)) _longjmp(scheduler_place, 1);
        return;)
    swapcontext(&me.context, &scheduler);
}

[[noreturn]] UNWATCHED inline void fail(const char* what, int line) {
    snprintf(message, sizeof message, "line %d, block (%u,%u,%u), thread %u: %s", line,
             blockIdx.x, blockIdx.y, blockIdx.z, current, what);
    switch_to_scheduler(fibers[current]);
    abort();
}

UNWATCHED inline void on_segmentation_fault(int) {
    fail("touches memory that is nobody's", 0);
}

UNWATCHED inline void wait(State state, unsigned mask, int line) {
    Fiber& me = fibers[current];
    bool shuffle = state == AT_SHUFFLE;
    TSAN(char* gate = tsan_gates[shuffle ? 1 + current / 32 : 0];)
    TSAN(gate += me.waits[shuffle] % 2;)
    TSAN(__tsan_release(gate);)
    ++me.waits[shuffle];
    me.state = state, me.mask = mask, me.line = line;
    switch_to_scheduler(me);
    TSAN(__tsan_acquire(gate);)
    set_index(current);
}

// Lets those go on whose wait is over: all threads of the block at one barrier, or all
// lanes of a mask at one shuffle. False where nobody can, or where lines differ.
UNWATCHED inline bool release() {
    unsigned n = n_threads, at_barrier = 0, ended = 0;
    for (unsigned i = 0; i < n; ++i)
        at_barrier += fibers[i].state == AT_BARRIER, ended += fibers[i].state == ENDED;
    if (at_barrier == n) {
        for (unsigned i = 0; i < n; ++i) {
            Fiber& f = fibers[i];
            if (f.line != fibers[0].line) {
                snprintf(message, sizeof message, "threads of one block wait at "
                         "barriers on lines %d and %d", fibers[0].line, f.line);
                return false;
            }
            f.state = RUNS;
        }
        return true;
    }
    bool any = false;
    for (unsigned first = 0; first < n; first += 32) {
        unsigned lanes = n - first < 32 ? n - first : 32;
        for (unsigned i = 0; i < lanes; ++i) {
            Fiber& me = fibers[first + i];
            if (me.state != AT_SHUFFLE) continue;
            unsigned there = 0;
            for (unsigned j = 0; j < lanes; ++j) {
                Fiber& other = fibers[first + j];
                there |= (unsigned)(other.state == AT_SHUFFLE && other.mask == me.mask
                                    && other.line == me.line) << j;
            }
            if (there != me.mask) continue;
            for (unsigned j = 0; j < lanes; ++j)
                if (there >> j & 1) fibers[first + j].state = RUNS;
            any = true;
        }
    }
    if (!any)
        snprintf(message, sizeof message, "%u threads of block (%u,%u,%u) wait for "
                 "others that never come; %u have ended", n - ended, blockIdx.x,
                 blockIdx.y, blockIdx.z, ended);
    return any;
}

static void (*body)(void*);  // the kernel, with its arguments
static void* arguments_of_body;

UNWATCHED inline void enter() {
    for (;;) {  // for each block
        TSAN(__tsan_acquire(&tsan_begin);)
        set_index(current);
        body(arguments_of_body);
        fibers[current].state = ENDED;
        TSAN(__tsan_release(&tsan_end);)
        switch_to_scheduler(fibers[current]);
    }
}

UNWATCHED inline void shuffle_turns() {
    static uint64_t random = 0;
    if (!random) random = 0x9E3779B97F4A7C15u * (unsigned)order;
    for (unsigned i = n_threads - 1; i > 0; --i) {
        random ^= random << 13, random ^= random >> 7, random ^= random << 17;
        unsigned j = random % (i + 1), other = turns[j];
        turns[j] = turns[i], turns[i] = other;
    }
}

// Runs the threads of one block to their end. False where something is wrong.
UNWATCHED inline bool run_block(size_t dynamic_bytes) {
    char unwritten = order == 1 ? 0x7F : -1;
    for (char* c = __start_shared_memory; c < __stop_shared_memory; ++c) *c = unwritten;
    char* memory = (char*)malloc(dynamic_bytes + 2 * GUARD);
    for (size_t i = 0; i < dynamic_bytes + 2 * GUARD; ++i) memory[i] = unwritten;
    dynamic = memory + GUARD;
    unsigned n = n_threads = blockDim.x * blockDim.y * blockDim.z;
    for (unsigned i = 0; i < n; ++i) {
        turns[i] = order == 1 ? n - 1 - i : i;
        Fiber& f = fibers[i];
        TSAN(if (!f.tsan) f.tsan = __tsan_create_fiber(0);)
        f.state = RUNS, f.passed = f.waits[0] = f.waits[1] = 0;
        UNLESS_WATCHED(if (f.begun) continue;)
        getcontext(&f.context);
        f.context.uc_stack.ss_sp = stacks[i];
        f.context.uc_stack.ss_size = STACK;
        f.context.uc_link = nullptr;
        makecontext(&f.context, enter, 0);
    }
    TSAN(tsan_scheduler = __tsan_get_current_fiber(); __tsan_release(&tsan_begin);)
    for (bool more = true; more;) {
        if (order > 1) shuffle_turns();
        for (unsigned k = 0; k < n; ++k) {
            current = turns[k];
            if (fibers[current].state != RUNS) continue;
            switch_to(fibers[current]);
            if (message[0]) return false;
        }
        more = false;
        for (unsigned i = 0; i < n; ++i) more = more || fibers[i].state != ENDED;
        if (more && !release()) return false;
    }
    TSAN(__tsan_acquire(&tsan_end);)
    for (size_t i = 0; i < GUARD; ++i)
        if (memory[i] != unwritten || memory[GUARD + dynamic_bytes + i] != unwritten)
            snprintf(message, sizeof message, "writes beyond its shared memory");
    free(memory);
    return !message[0];
}

// shape: blocks (x, y, z), threads (x, y, z), bytes of dynamic shared memory. Returns
// what is wrong, or null.
template <class... A, size_t... I>
UNWATCHED const char* launch(
    void (*kernel)(A...), const unsigned* shape, void** arguments,
    std::index_sequence<I...>)
{
    std::tuple<void (*)(A...), void**> call{kernel, arguments};
    body = [](void* with) {
        auto& [k, p] = *static_cast<decltype(call)*>(with);
        k(*static_cast<std::remove_cv_t<std::remove_reference_t<A>>*>(p[I])...);
    };
    arguments_of_body = &call;
    message[0] = 0;
    gridDim = {shape[0], shape[1], shape[2]}, blockDim = {shape[3], shape[4], shape[5]};
    if (blockDim.x * blockDim.y * blockDim.z > MOST)
        return "a block has more than 1024 threads";
    struct sigaction ours = {}, before;
    ours.sa_handler = on_segmentation_fault;
    ours.sa_flags = SA_NODEFER;  // it does not return
    UNLESS_WATCHED(sigaction(SIGSEGV, &ours, &before);)
    bool well = true;
    for (unsigned i = 0; well && i < gridDim.x * gridDim.y * gridDim.z; ++i) {
        blockIdx = {i % gridDim.x, i / gridDim.x % gridDim.y,
                    i / (gridDim.x * gridDim.y)};
        well = run_block(shape[6]);
    }
    UNLESS_WATCHED(sigaction(SIGSEGV, &before, nullptr);)
    if (!well)  // some stand amid the kernel
        for (Fiber& fiber : fibers) fiber.begun = false;
    return well ? nullptr : message;
}

template <class... A>
const char* launch(void (*kernel)(A...), const unsigned* shape, void** arguments) {
    return launch(kernel, shape, arguments, std::index_sequence_for<A...>{});
}

template <class T>
UNWATCHED T shuffle(unsigned mask, T value, unsigned source, int line) {
    static_assert(sizeof(T) <= sizeof(uint64_t), "a shuffle moves 8 bytes at most");
    Fiber& me = fibers[current];
    unsigned lane = current % 32, first = current - lane;
    if (!(mask >> lane & 1)) fail("a shuffle by a lane outside its mask", line);
    uint64_t* set = slots[me.passed++ % 2];
    memcpy(&set[current], &value, sizeof value);
    wait(AT_SHUFFLE, mask, line);
    if (!(mask >> source & 1) || first + source >= n_threads)
        fail("a shuffle from a lane outside its mask", line);
    memcpy(&value, &set[first + source], sizeof value);
    return value;
}
}  // namespace on_cpu

#define __syncthreads() on_cpu::wait(on_cpu::AT_BARRIER, 0, __LINE__)
#define __shfl_xor_sync(mask, value, bits) \
    on_cpu::shuffle(mask, value, (on_cpu::current % 32) ^ (bits), __LINE__)

inline float __int_as_float(int i) { float f; memcpy(&f, &i, 4); return f; }
inline float rsqrtf(float x) { return 1 / sqrtf(x); }
inline int min(int a, int b) { return a < b ? a : b; }
inline int max(int a, int b) { return a > b ? a : b; }

extern "C" void set_order(int how) { on_cpu::order = how; }

// What ctypes finds: `LAUNCH(attention)` makes `launch_attention`.
#define LAUNCH(kernel) \
    extern "C" const char* launch_##kernel(const unsigned* shape, void** arguments) { \
        return on_cpu::launch(kernel, shape, arguments); }
