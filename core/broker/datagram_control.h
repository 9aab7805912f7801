/* SPDX-License-Identifier: BSD-3-Clause
 * datagram_control.h - addresses in control data
 *
 * For all who stand between a program and its datagrams: the shim, and the
 * host on behalf of programs that cannot be preloaded. No allocation, no call.
 */
#ifndef CORE_BROKER_DATAGRAM_CONTROL_H
#define CORE_BROKER_DATAGRAM_CONTROL_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "core/broker/address_table.h"

enum { TS_CONTROL_CAP = 1024 };

/* Is this, as the kernel wrote it (len: what is there), a loopback address? */
bool ts_sockaddr_is_loopback(const struct sockaddr *addr, socklen_t len);
/* Has msg's control data IP_PKTINFO or IPV6_PKTINFO? */
bool ts_control_has_source(const struct msghdr *msg);
/* *out becomes msg with control data, in room, that suits a virtual
 * destination. -ENOBUFS: too much of it. */
int ts_control_rewrite(const struct ts_table_layout *table,
		       const struct msghdr *msg, struct msghdr *out,
		       uint8_t room[static TS_CONTROL_CAP]);
/* Puts the flow's addresses into what the kernel delivered, and the interface
 * (0: lo's stays). */
void ts_control_show(const struct msghdr *msg,
		     const struct ts_flow_entry *entry, unsigned interface);
/* UDP_SEGMENT's size in msg's control data, or 0. */
unsigned ts_control_segment(const struct msghdr *msg);

#endif
