/* SPDX-License-Identifier: BSD-3-Clause
 * gateway.h - which router our packets to the internet go through
 */
#ifndef CORE_IO_GATEWAY_H
#define CORE_IO_GATEWAY_H

#include "core/base/addr.h"

/* IPv4 only: the gateway, and the address of ours that it sees. 0, -ENOENT
 * (no route, or one without a gateway), or another negative errno. Does not
 * wait for anybody but the kernel. */
int ts_default_gateway(struct ts_ip *gateway, struct ts_ip *own);

#endif
