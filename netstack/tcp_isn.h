/* SPDX-License-Identifier: BSD-3-Clause
 * tcp_isn.h - initial sequence numbers (RFC 6528)
 */
#ifndef NETSTACK_TCP_ISN_H
#define NETSTACK_TCP_ISN_H

#include <stddef.h>
#include <stdint.h>

enum { STACK_ISN_KEY_LEN = 32 };

/* ISN = M + F(tuple, key): F is keyed BLAKE2s, so that a stranger who knows
 * one connection's numbers learns nothing about another's, and M a clock, so
 * that a tuple that is used again goes on above its old numbers. */
uint32_t stack_isn(const uint8_t key[static STACK_ISN_KEY_LEN],
		   const void *tuple, size_t tuple_len, uint64_t now_ms);

#endif
