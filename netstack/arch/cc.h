/* SPDX-License-Identifier: BSD-3-Clause
 * cc.h - what lwIP wants to know about compiler and platform
 */
#ifndef NETSTACK_ARCH_CC_H
#define NETSTACK_ARCH_CC_H

#include <endian.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/time.h>

#define LWIP_TIMEVAL_PRIVATE 0
/* The C library's: lwIP's are functions, called for each field. */
#define lwip_htons(x) htobe16(x)
#define lwip_htonl(x) htobe32(x)
#define LWIP_ERRNO_STDINCLUDE 1

/* We live in somebody else's process: a broken assumption is logged, never
 * fatal. lwIP goes on as it does when built without assertions. */
void stack_lwip_assert(const char *what);
#define LWIP_PLATFORM_ASSERT(what) stack_lwip_assert(what)
#define LWIP_PLATFORM_DIAG(x)                                                  \
	do {                                                                   \
	} while (0)

uint32_t stack_lwip_rand(void);
#define LWIP_RAND() stack_lwip_rand()

#endif
