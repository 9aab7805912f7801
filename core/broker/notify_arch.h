/* SPDX-License-Identifier: BSD-3-Clause
 * notify_arch.h - whose numbers of system calls a filter and its host know
 */
#ifndef CORE_BROKER_NOTIFY_ARCH_H
#define CORE_BROKER_NOTIFY_ARCH_H

#include <linux/audit.h>

#if defined(__x86_64__)
#define TS_NOTIFY_OWN_ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define TS_NOTIFY_OWN_ARCH AUDIT_ARCH_AARCH64
#else
#error "name this machine's audit number here"
#endif

/* i386 has one number for all calls of sockets; ARM and newer i386 programs
 * call socket() as such. */
enum { TS_NOTIFY_I386_SOCKETCALL = 102 };

#endif
