/* Hides AVX-512, AVX-VNNI and AMX from the process that loads this library: see avx2.py.
 *
 * Intel processors can be told to fault on the CPUID instruction (arch_prctl(ARCH_SET_CPUID)). The handler of the fault
 * runs the instruction and clears the bits, so that every library of the process chooses its kernels for AVX2. */
#define _GNU_SOURCE
#include <asm/prctl.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#define BIT(n) (1u << (n))

static const unsigned avx512_ebx = BIT(16) | BIT(17) | BIT(21) | BIT(26) | BIT(27) | BIT(28) | BIT(30) | BIT(31);
static const unsigned avx512_ecx = BIT(1) | BIT(6) | BIT(11) | BIT(12) | BIT(14);
static const unsigned avx512_edx = BIT(2) | BIT(3) | BIT(8) | BIT(23);
static const unsigned amx_edx = BIT(22) | BIT(24) | BIT(25);
static const unsigned later_eax = BIT(4) | BIT(5) | BIT(21) | BIT(23);  /* AVX-VNNI, AVX512-BF16, AMX-FP16, AVX-IFMA */
static const unsigned later_edx = BIT(4) | BIT(5) | BIT(8) | BIT(10) | BIT(19);  /* AVX-VNNI-INT8 .. AVX10 */

static int faulting(int on) { return (int)syscall(SYS_arch_prctl, ARCH_SET_CPUID, on ? 0L : 1L); }

static void on_fault(int number, siginfo_t *info, void *context) {
    (void)info;
    greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;
    const unsigned char *code = (const unsigned char *)registers[REG_RIP];
    if (code[0] != 0x0f || code[1] != 0xa2) { /* another fault: let it end the process */
        signal(number, SIG_DFL);
        return;
    }
    unsigned leaf = (unsigned)registers[REG_RAX], part = (unsigned)registers[REG_RCX], eax, ebx, ecx, edx;
    faulting(0);
    __asm__ volatile("cpuid" : "=a"(eax), "=b"(ebx), "=c"(ecx), "=d"(edx) : "a"(leaf), "c"(part));
    faulting(1);
    if (leaf == 7 && part == 0) {
        ebx &= ~avx512_ebx;
        ecx &= ~avx512_ecx;
        edx &= ~(avx512_edx | amx_edx);
    } else if (leaf == 7 && part == 1) {
        eax &= ~later_eax;
        edx &= ~later_edx;
    }
    registers[REG_RAX] = eax;
    registers[REG_RBX] = ebx;
    registers[REG_RCX] = ecx;
    registers[REG_RDX] = edx;
    registers[REG_RIP] += 2;
}

__attribute__((constructor)) static void start(void) {
    static const char refused[] = "this processor or its hypervisor does not let CPUID fault\n";
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_sigaction = on_fault;
    action.sa_flags = SA_SIGINFO;
    if (sigaction(SIGSEGV, &action, NULL) || faulting(1)) {
        if (write(STDERR_FILENO, refused, sizeof refused - 1) < 0) { /* nothing left to do */
        }
        _exit(2);
    }
}
