/* SPDX-License-Identifier: BSD-3-Clause
 * tsnet.h - join a tailnet from inside a C program
 *
 * A server is one node. Its work is done by a thread of its own; every
 * function may be called from any thread, but not twice at once on the same
 * server. A program that is preloaded with libtsnet_shim.so needs none of
 * this: its own socket calls do.
 *
 *	struct tsnet *ts = tsnet_new();
 *	tsnet_set(ts, "hostname", "hello");
 *	tsnet_set(ts, "auth_key", getenv("TS_AUTHKEY"));
 *	if (tsnet_up(ts, 60) != 0)
 *		errx(1, "%s", tsnet_errmsg(ts));
 *
 * Link with -ltsnet. Errors are negative errno values; tsnet_errmsg() has the
 * words.
 */
#ifndef TSNET_H
#define TSNET_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

#define TSNET_API __attribute__((visibility("default")))

struct tsnet;

/* A server with the settings of the environment and tsnet.conf, not started.
 * NULL when out of memory. */
TSNET_API struct tsnet *tsnet_new(void);

/* Change a setting before the start; key as in tsnet.conf(5) ("hostname",
 * "auth_key", "control_url", "state_dir", "ephemeral", ...). value is copied;
 * NULL unsets. 0, -EINVAL (unknown key or bad value), -EBUSY (started). */
TSNET_API int tsnet_set(struct tsnet *ts, const char *key, const char *value);

/* Start the node; does not wait for the network. 0 or negative errno. */
TSNET_API int tsnet_start(struct tsnet *ts);

/* Start and wait until the node is running. 0, -ETIMEDOUT, -EACCES (the
 * server refused: see tsnet_errmsg) or another negative errno. */
TSNET_API int tsnet_up(struct tsnet *ts, unsigned timeout_s);

/* The node's addresses as text, "100.x.y.z" and "fd7a:...", "" when it has
 * none. Both buffers have cap bytes (46 is enough). 0, -ENOTCONN before the
 * node is up, -ENOBUFS. */
TSNET_API int tsnet_ips(struct tsnet *ts, char *v4, char *v6, size_t cap);

/* Path of the LocalAPI socket (for tailscale --socket=), valid until close;
 * NULL before the start. */
TSNET_API const char *tsnet_localapi(struct tsnet *ts);

/* Words for the last error of this server, "" when there was none. Valid
 * until the next call. */
TSNET_API const char *tsnet_errmsg(struct tsnet *ts);

/* Deliver what was written (5 s), leave if ephemeral (5 s), free. NULL is
 * fine. */
TSNET_API void tsnet_close(struct tsnet *ts);

#ifdef __cplusplus
}
#endif
#endif
