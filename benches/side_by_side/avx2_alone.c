/* Answers `cpuid` as a processor that has AVX2 and nothing beyond it.
 *
 * For a library in which avx2_alone.py has put `ud2` in the place of every `cpuid`: preloaded, it handles the signal of
 * that instruction.
 */
#define _GNU_SOURCE
#include <cpuid.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <ucontext.h>

static uint32_t bits(const int *positions, int count) {
    uint32_t mask = 0;
    for (int i = 0; i < count; i++) {
        mask |= UINT32_C(1) << positions[i];
    }
    return mask;
}

#define BITS(...) bits((const int[]){__VA_ARGS__}, sizeof((const int[]){__VA_ARGS__}) / sizeof(int))

static void answer(int number, siginfo_t *info, void *context) {
    (void)info;
    greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;
    const uint8_t ud2[2] = {0x0F, 0x0B};
    if (memcmp((const void *)registers[REG_RIP], ud2, sizeof ud2) != 0) {
        signal(number, SIG_DFL);
        return;
    }
    uint32_t leaf = (uint32_t)registers[REG_RAX], subleaf = (uint32_t)registers[REG_RCX];
    uint32_t a, b, c, d;
    __cpuid_count(leaf, subleaf, a, b, c, d);
    if (leaf == 7 && subleaf == 0) {
        /* AVX-512: F, DQ, IFMA, PF, ER, CD, BW, VL; VBMI, VBMI2, VNNI, BITALG, VPOPCNTDQ; 4VNNIW, 4FMAPS,
         * VP2INTERSECT, FP16. AMX: BF16, TILE, INT8. */
        b &= ~BITS(16, 17, 21, 26, 27, 28, 30, 31);
        c &= ~BITS(1, 6, 11, 12, 14);
        d &= ~BITS(2, 3, 8, 22, 23, 24, 25);
    } else if (leaf == 7 && subleaf == 1) {
        /* AVX-VNNI, AVX512-BF16, AMX-FP16, AVX-IFMA; AVX-VNNI-INT8, AVX-NE-CONVERT, AVX-VNNI-INT16, AVX10. */
        a &= ~BITS(4, 5, 21, 23);
        d &= ~BITS(4, 5, 10, 19);
    }
    registers[REG_RAX] = a;
    registers[REG_RBX] = b;
    registers[REG_RCX] = c;
    registers[REG_RDX] = d;
    registers[REG_RIP] += sizeof ud2;
}

__attribute__((constructor)) static void install(void) {
    struct sigaction action = {.sa_sigaction = answer, .sa_flags = SA_SIGINFO};
    sigaction(SIGILL, &action, NULL);
}
