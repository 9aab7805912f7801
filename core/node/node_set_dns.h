/* SPDX-License-Identifier: BSD-3-Clause
 * node_set_dns.h - a TXT record below our name, as CAs ask for
 */
#ifndef CORE_NODE_NODE_SET_DNS_H
#define CORE_NODE_NODE_SET_DNS_H

#include "core/node/node.h"

/* error NULL: the record is there; else the control server's words. */
typedef void (*ts_node_set_dns_fn)(void *ctx, const char *error);

/* fn is called once, later, unless this fails: -ENETDOWN (no connection to the
 * control server), -EAGAIN (too many questions under way), -EINVAL (a name or
 * a value that is too long), -ENOMEM. */
int ts_node_set_dns(struct ts_node *node, const char *name, const char *value,
		    ts_node_set_dns_fn fn, void *ctx, uint64_t now_ms);

#endif
