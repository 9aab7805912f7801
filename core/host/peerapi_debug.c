/* SPDX-License-Identifier: BSD-3-Clause
 * peerapi_debug.c - what a peer may see of this node from inside
 * Source: ipn/ipnlocal/peerapi.go (canDebug, handleServe...)
 *
 * For those whom the tailnet's admin lets: this node has to have the debug
 * capability, and the peer has to be our own user's, or to be named by a rule.
 * Of upstream's pages those that have something to tell here; goroutines there
 * are none, and the environment is the program's own business.
 */
#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/byte_queue.h"
#include "core/host/peerapi.h"

#define HTML "text/html; charset=utf-8"
#define CAP_DEBUG "https://tailscale.com/cap/debug"
#define CAP_DEBUG_PEER "https://tailscale.com/cap/debug-peer"

enum { PAGE_MAX = 96 * 1024, LINE_CAP = 1024 };

static bool is_granted(const struct ts_peerapi_conn *conn)
{
	json_t *caps = ts_node_peer_caps(conn->member->node,
					 &conn->remote.ip);
	bool has = json_object_get(caps, CAP_DEBUG_PEER) != NULL;

	json_decref(caps);
	return has;
}

/* False: answered already. */
static bool may_debug(struct ts_peerapi_conn *conn)
{
	const struct ts_node *node = conn->member->node;
	const struct ts_peer *self = ts_node_netmap(node)->self;
	const struct ts_peer *peer = ts_node_whois(node, &conn->remote.ip);

	if (self && peer && ts_peer_has_cap(self, CAP_DEBUG) &&
	    !peer->unsigned_peerapi_only &&
	    (self->user == peer->user || is_granted(conn)))
		return true;
	ts_peerapi_reply_text(conn, 403, "denied; no debug access\n");
	return false;
}

/* -- pages ---------------------------------------------------------------- */

/* What does not fit is left out. */
__attribute__((format(printf, 2, 3))) static void
add(struct ts_byte_queue *page, const char *format, ...)
{
	char line[LINE_CAP];
	va_list args;
	int len;

	va_start(args, format);
	len = vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	if (len > 0 && len < LINE_CAP)
		(void)ts_byte_queue_push(page, line, (size_t)len);
}

/* Text of others, as text of the page. */
static const char *escape(const char *text, char out[static 256])
{
	size_t used = 0;

	for (; text && *text && used < 256 - 8; text++) {
		if (strchr("<>&\"'", *text))
			used += (size_t)snprintf(out + used, 8, "&#%d;",
						 *text);
		else
			out[used++] = *text;
	}
	out[used] = '\0';
	return out;
}

static void reply_page(struct ts_peerapi_conn *conn, struct ts_byte_queue *page)
{
	ts_peerapi_reply(conn, 200, HTML, ts_byte_queue_data(page),
			 ts_byte_queue_len(page));
	ts_byte_queue_deinit(page);
}

/* -- paths ---------------------------------------------------------------- */

static void add_changes(struct ts_byte_queue *page, const struct ts_node *node,
			const struct ts_peer *peer, uint64_t now_ms)
{
	static const char *const names[] = {
		[TS_PATH_NEW_CANDIDATE] = "may be at",
		[TS_PATH_NEW_BEST] = "is reached at",
		[TS_PATH_LOST] = "is reached by DERP alone, no more at",
		[TS_PATH_NEW_HOME] = "has its home at",
		[TS_PATH_RESTARTED] = "was started anew",
	};
	struct ts_path_change changes[TS_PATH_CHANGES_MAX];
	size_t count = ts_node_peer_changes(node, peer, changes);
	char text[TS_PATH_ADDR_TEXT_CAP];

	add(page, "<ul>\n");
	for (size_t i = 0; i < count; i++) {
		const struct ts_path_addr *at =
			changes[i].kind == TS_PATH_LOST ? &changes[i].from
							: &changes[i].to;

		add(page, "<li>%llu s ago: %s %s</li>\n",
		    (unsigned long long)((now_ms - changes[i].at_ms) / 1000),
		    names[changes[i].kind],
		    ts_path_addr_is_set(at) ? ts_path_addr_format(at, text)
					    : "");
	}
	add(page, "</ul>\n");
}

static void add_peer(struct ts_byte_queue *page, const struct ts_node *node,
		     const struct ts_peer *peer, uint64_t now_ms)
{
	char name[256], text[TS_PATH_ADDR_TEXT_CAP];
	struct ts_node_peer_status st;

	ts_node_peer_status(node, peer, now_ms, &st);
	if (!st.in_wireguard)
		return;
	if (st.path.is_direct || st.path.is_relayed)
		ts_path_addr_format(&st.path.best, text);
	add(page, "<h3>%s</h3>\n<p>%s %s; home DERP-%d; received %llu, sent "
		  "%llu bytes</p>\n",
	    escape(peer->name, name),
	    st.path.is_direct	 ? "direct"
	    : st.path.is_relayed ? "peer relay"
				 : "DERP",
	    st.path.is_direct || st.path.is_relayed ? text : "",
	    peer->home_derp, (unsigned long long)st.rx_bytes,
	    (unsigned long long)st.tx_bytes);
	add_changes(page, node, peer, now_ms);
}

void ts_peerapi_paths(struct ts_peerapi_conn *conn,
		      const struct ts_peerapi_request *req)
{
	const struct ts_node *node = conn->member->node;
	const struct ts_netmap *map = ts_node_netmap(node);
	uint64_t now_ms = ts_host_now_ms(conn->member->host);
	const struct ts_addr *own = NULL;
	const struct ts_peer *peer;
	struct ts_byte_queue page;
	char text[TS_ADDR_TEXT_CAP];
	size_t pos = 0, count;

	(void)req;
	if (!may_debug(conn))
		return;
	ts_byte_queue_init(&page, PAGE_MAX);
	add(&page, "<!DOCTYPE html>\n<h1>magicsock</h1>\n<p>home DERP-%d; "
		   "endpoints:",
	    ts_node_home_region(node));
	count = ts_node_endpoints(node, &own);
	for (size_t i = 0; i < count; i++)
		add(&page, " %s", ts_addr_format(&own[i], text));
	add(&page, "</p>\n<h2>peers in use</h2>\n");
	while ((peer = ts_netmap_next_peer(map, &pos)))
		add_peer(&page, node, peer, now_ms);
	reply_page(conn, &page);
}

/* -- counters ------------------------------------------------------------- */

void ts_peerapi_metrics(struct ts_peerapi_conn *conn,
			const struct ts_peerapi_request *req)
{
	char *text;

	(void)req;
	if (!may_debug(conn))
		return;
	text = ts_node_client_metrics(conn->member->node);
	if (text)
		ts_peerapi_reply(conn, 200, "text/plain; charset=utf-8", text,
				 strlen(text));
	else
		ts_peerapi_reply_text(conn, 500, "out of memory\n");
	free(text);
}

void ts_peerapi_sockstats(struct ts_peerapi_conn *conn,
			  const struct ts_peerapi_request *req)
{
	static const char page[] = "<!DOCTYPE html><h1>Socket Stats</h1>\n"
				   "Socket stats are not available for this "
				   "client\n";

	(void)req;
	if (may_debug(conn))
		ts_peerapi_reply(conn, 200, HTML, page, sizeof(page) - 1);
}

/* -- interfaces ----------------------------------------------------------- */

static void add_interface(struct ts_byte_queue *page, const struct ifaddrs *at)
{
	char name[256], text[TS_IP_TEXT_CAP] = "";
	struct ts_addr addr;

	if (!at->ifa_addr || (at->ifa_addr->sa_family != AF_INET &&
			      at->ifa_addr->sa_family != AF_INET6))
		return;
	if (ts_addr_from_sockaddr(at->ifa_addr,
				  at->ifa_addr->sa_family == AF_INET
					  ? sizeof(struct sockaddr_in)
					  : sizeof(struct sockaddr_in6),
				  &addr) == 0)
		ts_ip_format(&addr.ip, text);
	add(page, "<tr><td>%u</td><td>%s</td><td>%s</td><td>%s</td></tr>\n",
	    if_nametoindex(at->ifa_name), escape(at->ifa_name, name),
	    at->ifa_flags & IFF_UP ? "up" : "down", text);
}

void ts_peerapi_interfaces(struct ts_peerapi_conn *conn,
			   const struct ts_peerapi_request *req)
{
	struct ts_byte_queue page;
	struct ifaddrs *list = NULL;

	(void)req;
	if (!may_debug(conn))
		return;
	ts_byte_queue_init(&page, PAGE_MAX);
	add(&page, "<h1>Interfaces</h1>\n<table>\n<tr><th>Index</th>"
		   "<th>Name</th><th>Flags</th><th>Addrs</th></tr>\n");
	if (getifaddrs(&list) == 0)
		for (const struct ifaddrs *at = list; at; at = at->ifa_next)
			add_interface(&page, at);
	freeifaddrs(list);
	add(&page, "</table>\n");
	reply_page(conn, &page);
}
