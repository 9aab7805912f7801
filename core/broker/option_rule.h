/* SPDX-License-Identifier: BSD-3-Clause
 * option_rule.h - what a socket option means on a connection to the tailnet
 *
 * The kernel keeps every option of a program's sockets; that is the truth for
 * most of them, since a socket to the tailnet is a TCP socket over loopback.
 * Only these are more:
 *
 *   carried    the host reads them from the socket, into the tunnel's
 *              connection: with CONNECT and ACCEPTED, and when they change
 *   answered   about the way to the far end: by the tunnel's connection
 *   refused    what neither loopback nor the tunnel would do
 *   keyed      a key for segments to an address: refused for the tailnet's
 *
 * TCP_CONGESTION reads the same whether the program chose it or the kernel
 * starts with it, and only a choice counts in the tunnel. So a choice is marked
 * on the socket itself, by an option that the kernel keeps but that does
 * nothing to TCP: a mark goes where the choice goes, to duplicates, through
 * fork and exec, and from a listener to what it accepts. Each name has its own,
 * so that a mark of what the kernel then refused says nothing: it counts as
 * long as the socket has that name.
 *
 * For the shim, and the host on behalf of programs that cannot be preloaded.
 */
#ifndef CORE_BROKER_OPTION_RULE_H
#define CORE_BROKER_OPTION_RULE_H

#include <stdbool.h>
#include <stddef.h>

#include "core/base/addr.h"

enum {
	TS_OPTION_CARRIED = 1 << 0,
	TS_OPTION_ANSWERED = 1 << 1,
	TS_OPTION_REFUSED = 1 << 2,
	TS_OPTION_KEYED = 1 << 3,
};

/* A socket that is tied to a tailnet's interface is tied to lo, and its
 * IP_MULTICAST_ALL is off, as an AF_INET6 socket's always is. Which of several
 * is told by this option, IP_MINTTL: its number (1, 2, ...); 0: none of them.
 * What comes by lo has a larger TTL. */
enum { TS_INTERFACE_MARK = 21 };

enum { TS_CC_NAME_CAP = 16 };
/* The congestion controls of the tunnel. */
enum ts_cc { TS_CC_CUBIC, TS_CC_BBR };

struct ts_option_rule {
	int level, name;
	unsigned rules;
};

/* All of them. */
const struct ts_option_rule *ts_option_rules(size_t *count);
/* Of one option; 0: the kernel's alone. */
unsigned ts_option_rule(int level, int name);
/* A refused one, with a value that the kernel takes: would it do anything on
 * the way to the far end? 0, or a negative errno. */
int ts_option_judge(int level, int name, const void *value, size_t len);
/* Of a keyed one: whose key is it? false: of nobody. */
bool ts_option_key_addr(const void *value, size_t len, struct ts_addr *out);
/* NULL: no such. The text of TCP_CONGESTION has TS_CC_NAME_CAP bytes. */
const char *ts_option_cc_name(unsigned cc);
/* enum ts_cc, or -ENOENT; value as setsockopt() has it. */
int ts_option_cc_find(const void *value, size_t len);
/* The option of SOL_SOCKET, 1: chosen, that marks the choice of cc. */
int ts_option_cc_mark(enum ts_cc cc);

#endif
