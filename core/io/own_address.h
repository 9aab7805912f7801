/* SPDX-License-Identifier: BSD-3-Clause
 * own_address.h - which addresses are ours, and which one a packet would have
 */
#ifndef CORE_IO_OWN_ADDRESS_H
#define CORE_IO_OWN_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>

#include "core/base/addr.h"

/* Somewhere on the internet; nothing is sent there. They are documentation's,
 * which no other rules are made for. */
#define TS_SOMEWHERE_V4 "203.0.113.1"
#define TS_SOMEWHERE_V6 "2001:db8::1"

/* Our address on the way to that one, or ::. */
struct ts_ip ts_own_address_towards(const char *text);
/* Has one of our interfaces this address? True when it cannot be told. */
bool ts_is_own_address(const struct ts_ip *ip);
/* Usable local addresses (no loopback unless there is nothing else, no
 * link-local, no tailnet ranges); returns how many were written. */
size_t ts_local_addresses(struct ts_ip *out, size_t cap);
/* The networks that we are in, each as our own address there with the network's
 * bits: no loopback, no link-local, no tailnet ranges. */
size_t ts_local_networks(struct ts_prefix *out, size_t cap);

#endif
