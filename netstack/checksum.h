/* SPDX-License-Identifier: BSD-3-Clause
 * checksum.h - the Internet checksum (RFC 1071) over flat memory
 */
#ifndef NETSTACK_CHECKSUM_H
#define NETSTACK_CHECKSUM_H

#include <stddef.h>
#include <stdint.h>

#include "core/base/addr.h"

/* The ones' complement sum (not inverted) of data in network order, folded to
 * 16 bits: add results of even-sized pieces, fold and invert. */
uint32_t stack_sum(const void *data, size_t len);
/* The pseudo header of TCP, UDP (and ICMPv6): one form for both families. */
uint32_t stack_sum_pseudo(const struct ts_ip *src, const struct ts_ip *dst,
			  uint8_t proto, size_t len);
/* Folds and inverts: the value for the header, as a host integer to be
 * written big-endian. A correct packet gives 0 with its checksum included. */
uint16_t stack_sum_finish(uint32_t sum);

#endif
