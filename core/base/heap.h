/* SPDX-License-Identifier: BSD-3-Clause
 * heap.h - what the C libraries' heaps do differently
 */
#ifndef CORE_BASE_HEAP_H
#define CORE_BASE_HEAP_H

#include <features.h>

#ifdef __GLIBC__
#include <malloc.h>
#endif

/* After something large was freed: glibc keeps it otherwise, musl does not. */
static inline void ts_heap_trim(void)
{
#ifdef __GLIBC__
	malloc_trim(0);
#endif
}

#endif
