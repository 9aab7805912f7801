/* SPDX-License-Identifier: BSD-3-Clause
 * net_monitor.h - news about the network that we are in (rtnetlink)
 */
#ifndef CORE_IO_NET_MONITOR_H
#define CORE_IO_NET_MONITOR_H

#include "core/loop/loop.h"

struct ts_net_monitor;
/* fn runs when the usable addresses have changed and settled (250 ms), and
 * when the clock jumped (a resume). Without netlink: NULL, and nobody is
 * told. */
struct ts_net_monitor *ts_net_monitor_open(struct ts_loop *loop,
					   void (*fn)(void *ctx), void *ctx);
void ts_net_monitor_close(struct ts_net_monitor *m);

#endif
