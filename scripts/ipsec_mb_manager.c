/* SPDX-License-Identifier: BSD-3-Clause
 * ipsec_mb_manager.c - the Intel Multi-Buffer library with one cipher
 *
 * scripts/build-deps puts this in place of the library's own manager. That one
 * has a pointer to each of its ciphers, so a static link to it takes in all
 * 12 MB; and it tries them all when it starts, for half a millisecond. Here are
 * the same functions, as many as core/crypto/aead_mb.c calls, for
 * ChaCha20-Poly1305 alone, which is 0.4 MB. Its code is the library's.
 *
 * A variant serves where the processor has what this cipher's code uses and the
 * system keeps the registers; the library asks for AES too, and not the system.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <intel-ipsec-mb.h>

#include "include/chacha20_poly1305.h"

#define MANAGER_ALIGNMENT 64

static IMB_JOB *get_job(IMB_MGR *manager)
{
	return &manager->jobs[0]; /* no job outlives its submission */
}

static IMB_JOB *submit_avx512(IMB_MGR *manager)
{
	return aead_chacha20_poly1305_avx512(manager, get_job(manager));
}

static IMB_JOB *submit_avx2(IMB_MGR *manager)
{
	return aead_chacha20_poly1305_avx2(manager, get_job(manager));
}

static IMB_JOB *submit_avx(IMB_MGR *manager)
{
	return aead_chacha20_poly1305_avx(manager, get_job(manager));
}

static IMB_JOB *submit_sse(IMB_MGR *manager)
{
	return aead_chacha20_poly1305_sse(manager, get_job(manager));
}

static bool has_avx512(void)
{
	return __builtin_cpu_supports("avx512f") &&
	       __builtin_cpu_supports("avx512dq") &&
	       __builtin_cpu_supports("avx512cd") &&
	       __builtin_cpu_supports("avx512bw") &&
	       __builtin_cpu_supports("avx512vl") &&
	       __builtin_cpu_supports("bmi2");
}

IMB_MGR *alloc_mb_mgr(uint64_t flags)
{
	IMB_MGR *manager;

	(void)flags;
	if (posix_memalign((void **)&manager, MANAGER_ALIGNMENT,
			   sizeof(*manager)) != 0)
		return NULL;
	memset(manager, 0, sizeof(*manager));
	return manager;
}

void free_mb_mgr(IMB_MGR *manager)
{
	free(manager);
}

void init_mb_mgr_auto(IMB_MGR *manager, IMB_ARCH *arch)
{
	IMB_ARCH found = IMB_ARCH_NONE;

	manager->get_next_job = get_job;
	if (has_avx512()) {
		found = IMB_ARCH_AVX512;
		manager->submit_job_nocheck = submit_avx512;
		if (__builtin_cpu_supports("avx512ifma"))
			manager->features = IMB_FEATURE_AVX512_IFMA;
	} else if (__builtin_cpu_supports("avx2")) {
		found = IMB_ARCH_AVX2;
		manager->submit_job_nocheck = submit_avx2;
	} else if (__builtin_cpu_supports("avx")) {
		found = IMB_ARCH_AVX;
		manager->submit_job_nocheck = submit_avx;
	} else if (__builtin_cpu_supports("sse4.2")) {
		found = IMB_ARCH_SSE;
		manager->submit_job_nocheck = submit_sse;
	} else {
		manager->imb_errno = ENODEV;
	}
	if (arch)
		*arch = found;
}
