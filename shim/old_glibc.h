/* SPDX-License-Identifier: BSD-3-Clause
 * old_glibc.h - name the oldest version of symbols that glibc renewed
 *
 * What they do for us is the same in every version.
 */
#ifndef SHIM_OLD_GLIBC_H
#define SHIM_OLD_GLIBC_H

#include <features.h>

#ifdef __GLIBC__
#if defined(__x86_64__)
#define SHIM_OLDEST "GLIBC_2.2.5"
#elif defined(__aarch64__)
#define SHIM_OLDEST "GLIBC_2.17"
#elif defined(__i386__)
#define SHIM_OLDEST "GLIBC_2.0"
#endif
#endif

#ifdef SHIM_OLDEST
__asm__(".symver dlsym, dlsym@" SHIM_OLDEST);
#if defined(__i386__)
__asm__(".symver dlopen, dlopen@GLIBC_2.1");
#else
__asm__(".symver dlopen, dlopen@" SHIM_OLDEST);
#endif
__asm__(".symver dlerror, dlerror@" SHIM_OLDEST);
#endif

#endif
