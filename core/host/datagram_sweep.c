/* SPDX-License-Identifier: BSD-3-Clause
 * datagram_sweep.c - when flows, and duplicates of sockets, are given up
 *
 * No event tells that a program has closed a UDP socket, or connected it
 * elsewhere. The kernel's list of sockets (/proc/net/udp) does: a connected
 * flow lives while some socket has its virtual address as its peer, another
 * one while its program's port is bound. So a connected socket that sends once
 * in an hour keeps its flow, and a name server's client with a new port for
 * each question costs nothing for long. The list does not show a socket of
 * which we have the only copy left; /proc/PID/fd does (held_sweep.c). And it
 * may miss one: it is read in pieces, which the kernel tells apart by counting,
 * and sockets that end in between make it skip others. So it is read twice, a
 * flow ends when it was missed in two looks, and a listener when its port can
 * be had as well.
 *
 * A duplicate of a socket that chose its port keeps the port when the program
 * closes it and wants it again: we have it for a few seconds. Where the kernel
 * chose the port it stays as long as the program has the socket, but the
 * oldest go when there are many.
 *
 * An unconnected socket asks again for a flow that is over, so those go when
 * they have been idle.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "core/host/app_datagram.h"

enum {
	SWEEP_MS = 2000,
	GONE_LOOK_MIN_MS = 1000,
	YOUNG_MS = 3000,      /* the socket may still be on its way */
	DUP_MS = 5000,	      /* from the first datagram on */
	DUP_LOOK_MS = 2000,
	IDLE_MS = 5 * 60 * 1000, /* RFC 4787, REQ-5 */
	IDLE_UNSEEN_MS = 60 * 60 * 1000, /* where the list cannot be read */
	COST_FACTOR = 100, /* at most 1 % of the time */
	PORTS = 65536,
	READS = 2, /* of a list that misses some */
};

struct peer_key {
	uint8_t bytes[TS_IP_LEN + 2];
};

/* What the kernel's list says. */
struct seen {
	uint64_t now_ms;
	uint8_t bound[PORTS / 8];
	struct ts_key_map peers;
	bool is_partial; /* out of memory, or no list */
};

static struct peer_key peer_key(const struct ts_addr *addr)
{
	struct peer_key key;

	memcpy(key.bytes, addr->ip.bytes, TS_IP_LEN);
	key.bytes[TS_IP_LEN] = (uint8_t)(addr->port >> 8);
	key.bytes[TS_IP_LEN + 1] = (uint8_t)addr->port;
	return key;
}

static void note(struct seen *seen, uint32_t local_port,
		 const struct ts_addr *peer)
{
	static char there;
	struct peer_key key = peer_key(peer);

	if (local_port < PORTS)
		seen->bound[local_port / 8] |=
			(uint8_t)(1u << local_port % 8);
	if (peer->port != 0 && ts_ip_is_loopback(&peer->ip) &&
	    ts_key_map_put(&seen->peers, &key, &there))
		seen->is_partial = true;
}

/* "  12: 0100007F:1F90 0200007F:A2C4 07 ...": words in memory order. */
static void read_line4(struct seen *seen, const char *line)
{
	uint32_t local_port, word, port;
	struct ts_addr peer;
	uint8_t v4[4];

	if (sscanf(line, "%*u: %*8x:%" SCNx32 " %8" SCNx32 ":%" SCNx32,
		   &local_port, &word, &port) != 3)
		return;
	memcpy(v4, &word, sizeof(v4));
	peer = (struct ts_addr){ts_ip_from_v4(v4), (uint16_t)port};
	note(seen, local_port, &peer);
}

static void read_line6(struct seen *seen, const char *line)
{
	uint32_t local_port, word[4], port;
	struct ts_addr peer;

	if (sscanf(line,
		   "%*u: %*32[0-9A-Fa-f]:%" SCNx32 " %8" SCNx32 "%8" SCNx32
		   "%8" SCNx32 "%8" SCNx32 ":%" SCNx32,
		   &local_port, &word[0], &word[1], &word[2], &word[3],
		   &port) != 6)
		return;
	memcpy(peer.ip.bytes, word, sizeof(word));
	peer.port = (uint16_t)port;
	note(seen, local_port, &peer);
}

static bool read_list(struct seen *seen, const char *path,
		      void (*read_line)(struct seen *, const char *))
{
	char line[256];
	FILE *f = fopen(path, "re");

	if (!f)
		return false;
	while (fgets(line, sizeof(line), f))
		read_line(seen, line);
	fclose(f);
	return true;
}

static bool is_bound(const struct seen *seen, uint16_t port)
{
	return seen->bound[port / 8] >> port % 8 & 1;
}

static bool is_there(const struct seen *seen, const struct ts_dgram *flow)
{
	struct peer_key key = peer_key(&flow->virtual);

	if (flow->is_connected)
		return ts_key_map_get(&seen->peers, &key) != NULL;
	return is_bound(seen, flow->native.port);
}

static bool is_listener_gone(const struct ts_listener *l, const void *ctx)
{
	const struct seen *seen = ctx;

	return l->proto == IPPROTO_UDP &&
	       seen->now_ms - l->made_ms >= YOUNG_MS &&
	       !is_bound(seen, l->native.port);
}

static void end_if_gone(struct ts_dgram *flow, void *ctx)
{
	const struct seen *seen = ctx;
	bool was_missed = flow->was_missed;

	flow->was_missed = !is_there(seen, flow);
	if (ts_host_now_ms(flow->host) - flow->made_ms < YOUNG_MS ||
	    flow->dup_fd >= 0 || !flow->was_missed || !was_missed)
		return;
	log_debug("datagram-%llu: its program is gone",
		  (unsigned long long)flow->id);
	ts_dgram_end(flow);
}

/* Only what is idle; the list is no help here. */
static void end_if_unseen(struct ts_dgram *flow, void *ctx)
{
	(void)ctx;
	if (ts_host_now_ms(flow->host) - flow->used_ms >= IDLE_UNSEEN_MS)
		ts_dgram_end(flow);
}

void ts_dgram_look_for_gone(struct ts_host *host)
{
	struct ts_dgrams *all = host->dgrams;
	struct seen seen = {.now_ms = ts_host_now_ms(host)};

	if (all->looked_ms &&
	    ts_host_now_ms(host) - all->looked_ms < GONE_LOOK_MIN_MS)
		return;
	all->looked_ms = ts_host_now_ms(host);
	ts_key_map_init(&seen.peers, sizeof(struct peer_key), 0);
	for (int i = 0; i < READS; i++) {
		if (!read_list(&seen, "/proc/net/udp", read_line4))
			seen.is_partial = true;
		/* not there without IPv6 */
		(void)read_list(&seen, "/proc/net/udp6", read_line6);
	}
	ts_dgram_for_all(host, seen.is_partial ? end_if_unseen : end_if_gone,
			 &seen);
	if (!seen.is_partial)
		ts_listeners_forget(host, is_listener_gone, &seen);
	ts_key_map_deinit(&seen.peers);
}

/* -- duplicates ----------------------------------------------------------- */

struct held_look {
	struct ts_held held[DGRAM_DUPS_MAX];
	struct ts_dgram *flows[DGRAM_DUPS_MAX];
	size_t count;
};

static void collect_dup(struct ts_dgram *flow, void *ctx)
{
	struct held_look *look = ctx;
	uint64_t now_ms = ts_host_now_ms(flow->host);
	struct stat st;

	if (flow->dup_fd < 0)
		return;
	if (!flow->keeps_dup && flow->first_sent_ms &&
	    now_ms - flow->first_sent_ms >= DUP_MS &&
	    ts_dgram_learn_program(flow)) {
		ts_dgram_drop_dup(flow);
		return;
	}
	if (now_ms - flow->made_ms < DUP_LOOK_MS ||
	    look->count == DGRAM_DUPS_MAX || flow->pid <= 0 ||
	    fstat(flow->dup_fd, &st))
		return;
	look->flows[look->count] = flow;
	look->held[look->count++] =
		(struct ts_held){.pid = flow->pid, .inode = st.st_ino};
}

static void look_at_dups(struct ts_host *host)
{
	struct held_look look = {.count = 0};

	if (host->dgrams->dup_count == 0)
		return;
	ts_dgram_for_all(host, collect_dup, &look);
	if (look.count > 0)
		ts_held_look(host, look.held, look.count);
	for (size_t i = 0; i < look.count; i++) {
		struct ts_dgram *flow = look.flows[i];

		if (look.held[i].is_held)
			continue;
		ts_dgram_drop_dup(flow);
		if (!flow->is_connected)
			continue;
		log_debug("datagram-%llu: its program has closed it",
			  (unsigned long long)flow->id);
		ts_dgram_end(flow);
	}
}

/* -- idle ----------------------------------------------------------------- */

static void end_if_idle(struct ts_dgram *flow, void *ctx)
{
	uint64_t now_ms = ts_host_now_ms(flow->host);

	(void)ctx;
	/* As long as a connect would have waited. */
	if (flow->route == DGRAM_WAITS && flow->first_sent_ms &&
	    now_ms - flow->first_sent_ms > flow->host->timeout_ms) {
		flow->first_sent_ms = 0;
		ts_dgram_drop_queue(flow);
		ts_dgram_refuse(flow, -EHOSTUNREACH);
	}
	if (!flow->is_connected && now_ms - flow->used_ms >= IDLE_MS)
		ts_dgram_end(flow);
}

void ts_dgram_sweep(void *ctx)
{
	struct ts_host *host = ctx;
	struct ts_dgrams *all = host->dgrams;
	uint64_t now_ms, cost_ms;

	ts_loop_update(host->loop);
	now_ms = ts_host_now_ms(host);
	look_at_dups(host);
	ts_dgram_for_all(host, end_if_idle, NULL);
	ts_dgram_look_for_gone(host);
	if (all->flow_count == 0)
		return;
	ts_loop_update(host->loop);
	cost_ms = ts_host_now_ms(host) - now_ms;
	ts_timer_set(all->sweep, now_ms + SWEEP_MS + COST_FACTOR * cost_ms);
}
