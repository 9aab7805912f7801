/* SPDX-License-Identifier: BSD-3-Clause
 * app_connect.c - one outgoing connection of a program
 *
 * CONNECT brings a duplicate of the program's socket, which then knocks at R
 * and stays in SYN_SENT. Meanwhile we wait for the node if it is not running
 * yet, and dial (app_dial.c). When the far end is up, we connect back from R's
 * address and hand the pair to the splice; when it is not, the errno goes into
 * the table and the duplicate is shut down, which fails the program's connect.
 *
 *   WAITING -> DIALLING -> RELEASING -> JOINING -> (splice or relay)
 *         \________\___________\____________\___-> REFUSING -> (over)
 *
 * The duplicate also keeps the port: without it a program that closes while
 * held would free it, and we would connect back to a stranger. Its price is
 * that close() tells us nothing; shutdown and a second connect do (hup), and
 * for connects that wait long, /proc (held_sweep.c).
 *
 * Nothing tells when the program has really called connect after CONNECT was
 * answered. It nearly always has by the time the far end answers; else a
 * timer looks again.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/base/err.h"
#include "core/host/app_connect.h"
#include "core/host/dns_service.h"

enum {
	LOOK_MAX_MS = 100,
	KNOCK_LIMIT_MS = 30 * 1000, /* from CONNECT to connect() */
	JOIN_LIMIT_MS = 1000,	    /* loopback: microseconds */
	JOIN_TRIES_MAX = 5,
};

static const char *state_name(enum conn_state state)
{
	static const char *const names[] = {
		[CONN_WAITING] = "waiting",	[CONN_DIALLING] = "dialling",
		[CONN_RELEASING] = "releasing", [CONN_JOINING] = "joining",
		[CONN_REFUSING] = "refusing",
	};

	return names[state];
}

void ts_conn_set_state(struct ts_conn *conn, enum conn_state next)
{
	log_debug("conn-%llu: %s -> %s", (unsigned long long)conn->id,
		  state_name(conn->state), state_name(next));
	conn->state = next;
}

/* -- ends ----------------------------------------------------------------- */

static void free_conn(struct ts_conn *conn)
{
	ts_list_remove(&conn->link);
	conn->host->held_count--;
	ts_timer_free(conn->timer);
	ts_watch_free(conn->back_watch);
	ts_hup_remove(conn->host, &conn->hup);
	if (conn->is_paced)
		ts_held_unpace(conn->dup_fd, conn->paced_ms);
	ts_hurry_drop(conn->dup_fd);
	ts_stand_in_put(conn->stand_in);
	free(conn);
}

static void drop_far_end(struct ts_conn *conn)
{
	struct stack_tcp *tcp = conn->tcp;
	struct ts_inbound *inbound = conn->inbound;

	conn->tcp = NULL;
	conn->inbound = NULL;
	if (tcp)
		stack_tcp_abort(tcp);
	if (inbound)
		ts_inbound_abandon(inbound);
}

static void drop_back(struct ts_conn *conn)
{
	ts_watch_free(conn->back_watch);
	conn->back_watch = NULL;
	ts_sock_reset(conn->back_fd);
	conn->back_fd = -1;
}

void ts_conn_abandon(struct ts_conn *conn)
{
	log_debug("conn-%llu: given up by the program",
		  (unsigned long long)conn->id);
	drop_far_end(conn);
	drop_back(conn);
	ts_entry_end(conn->host, conn->entry, HOST_ENTRY_LINGER_MS);
	free_conn(conn);
}

static void publish_failure(struct ts_conn *conn, int err)
{
	if (!conn->entry)
		return;
	conn->entry->value.state = TS_FLOW_FAILED;
	conn->entry->value.error = -err;
	ts_entry_publish(conn->host, conn->entry);
}

void ts_conn_fail(struct ts_conn *conn, int err)
{
	char text[TS_ADDR_TEXT_CAP];

	log_debug("conn-%llu: to %s: %s", (unsigned long long)conn->id,
		  ts_addr_format(&conn->dest, text), ts_strerror(err));
	drop_far_end(conn);
	drop_back(conn);
	publish_failure(conn, err);
	ts_conn_set_state(conn, CONN_REFUSING);
	conn->look_ms = CONN_LOOK_FIRST_MS;
	ts_conn_advance(conn);
}

static void conn_refuse(struct ts_conn *conn)
{
	(void)shutdown(conn->dup_fd, SHUT_RDWR);
	ts_entry_end(conn->host, conn->entry, HOST_ENTRY_LINGER_MS);
	free_conn(conn);
}

/* -- the program's socket ------------------------------------------------- */

enum look { LOOK_NOT_YET, LOOK_HELD, LOOK_UP, LOOK_GONE };

static void on_hup(void *ctx)
{
	ts_conn_advance(ctx);
}

/* It knocked. A socket bound to a wildcard has its address only now, and
 * R's rule for it may be wrong on a kernel that we do not know. false: another
 * connect of a program that was turned away, and asked why. */
static bool note_held(struct ts_conn *conn)
{
	struct ts_host *host = conn->host;
	struct ts_flow_key key = conn->key;
	struct ts_entry *entry;

	conn->was_held = true;
	if (ts_sock_local(conn->dup_fd, &key.local) ||
	    ts_addr_equal(&key.local, &conn->key.local))
		return true;
	if (!conn->entry)
		return false;
	entry = ts_entry_put(host, &key, &conn->entry->value);
	if (!entry)
		return true;
	entry->stand_in = ts_stand_in_get(conn->stand_in);
	ts_entry_drop(host, conn->entry);
	conn->entry = entry;
	conn->key = key;
	return true;
}

/* It stays held: its shutdown and a second connect are to be heard. */
static void watch_held(struct ts_conn *conn)
{
	if (conn->hup.fd >= 0)
		return;
	conn->hup.fn = on_hup;
	conn->hup.ctx = conn;
	(void)ts_hup_add(conn->host, &conn->hup, conn->dup_fd, HUP_ONLY);
}

/* A closed socket with an error pending has knocked, and was shut down before
 * we looked. (SO_ERROR would take the error away from the program.) */
static bool has_error(int fd)
{
	struct pollfd p = {.fd = fd};

	return poll(&p, 1, 0) == 1 && (p.revents & POLLERR);
}

static enum look conn_look(struct ts_conn *conn)
{
	int state = ts_sock_state(conn->dup_fd);

	if (state == TCP_SYN_SENT) {
		/* Where nothing is held it is on its way to R's queue. */
		if (!conn->host->rv.holds)
			return LOOK_NOT_YET;
		return conn->was_held || note_held(conn) ? LOOK_HELD
							 : LOOK_GONE;
	}
	if (state < 0 || state == TCP_CLOSE)
		return conn->was_held || has_error(conn->dup_fd) ?
			       LOOK_GONE : LOOK_NOT_YET;
	return LOOK_UP;
}

static void look_again(struct ts_conn *conn)
{
	uint64_t now_ms = ts_host_now_ms(conn->host);

	if (now_ms - conn->started_ms >
	    KNOCK_LIMIT_MS + conn->host->timeout_ms) {
		ts_conn_abandon(conn);
		return;
	}
	ts_timer_set(conn->timer, now_ms + conn->look_ms);
	conn->look_ms *= 2;
	if (conn->look_ms > LOOK_MAX_MS)
		conn->look_ms = LOOK_MAX_MS;
}

/* -- connecting back ------------------------------------------------------ */

/* Both ends stand: the splice takes over. Anybody but R as the program's peer
 * means that back_fd leads to a stranger who took its port. */
static void conn_join(struct ts_conn *conn, const struct ts_addr *peer)
{
	int fd = conn->back_fd;

	if (!ts_addr_equal(peer, &conn->key.remote)) {
		ts_conn_abandon(conn);
		return;
	}
	ts_watch_free(conn->back_watch);
	conn->back_watch = NULL;
	conn->back_fd = -1;
	ts_tunnel_read_options(conn->entry, conn->dup_fd);
	conn->entry->pid = conn->pid;
	if (conn->is_to_dns)
		ts_dns_stream_start(conn->host,
				    ts_choose_named(conn->host, conn->by.node),
				    fd, conn->entry);
	else if (conn->tcp)
		ts_splice_start(conn->member, fd, conn->tcp, conn->entry);
	else
		ts_inbound_join(conn->inbound, fd, conn->entry);
	free_conn(conn);
}

/* Is the program's socket connected? Then to whom decides. */
static bool try_join(struct ts_conn *conn)
{
	struct ts_addr peer;

	if (ts_sock_peer(conn->dup_fd, &peer))
		return false;
	conn_join(conn, &peer);
	return true;
}

static void retry_release(struct ts_conn *conn, int err)
{
	drop_back(conn);
	if (++conn->join_tries > JOIN_TRIES_MAX) {
		ts_conn_fail(conn, err);
		return;
	}
	ts_conn_set_state(conn, CONN_RELEASING);
	conn->look_ms = CONN_LOOK_FIRST_MS;
	look_again(conn);
}

static void on_back(void *ctx, unsigned events)
{
	struct ts_conn *conn = ctx;
	int err = ts_sock_error(conn->back_fd);

	(void)events;
	if (err)
		retry_release(conn, err);
	else if (!try_join(conn))
		ts_conn_abandon(conn);
}

static void conn_release(struct ts_conn *conn)
{
	struct ts_host *host = conn->host;

	/* The program may ask the moment it is connected. */
	conn->entry->value.state = TS_FLOW_UP;
	ts_entry_publish(host, conn->entry);
	ts_conn_set_state(conn, CONN_JOINING);
	conn->back_fd = ts_rendezvous_connect_back(host, &conn->key.remote,
						   &conn->key.local);
	if (conn->back_fd < 0) {
		retry_release(conn, conn->back_fd);
		return;
	}
	if (try_join(conn))
		return;
	conn->back_watch = ts_watch_new(host->loop, conn->back_fd, TS_WRITABLE,
					on_back, conn);
	if (!conn->back_watch)
		ts_conn_fail(conn, -ENOMEM);
	else
		ts_timer_set(conn->timer,
			     ts_host_now_ms(host) + JOIN_LIMIT_MS);
}

/* R accepted it (a kernel that does not hold). */
static void settle_accepted(struct ts_conn *conn)
{
	if (conn->back_fd < 0) {
		look_again(conn); /* not taken from R's queue yet */
		return;
	}
	if (conn->state == CONN_RELEASING) {
		conn->entry->value.state = TS_FLOW_UP;
		ts_entry_publish(conn->host, conn->entry);
		if (!try_join(conn))
			ts_conn_abandon(conn);
	} else if (conn->state == CONN_REFUSING) {
		drop_back(conn); /* a reset: the best that is left */
		ts_entry_end(conn->host, conn->entry, HOST_ENTRY_LINGER_MS);
		free_conn(conn);
	}
}

static void settle_held(struct ts_conn *conn)
{
	switch (conn->state) {
	case CONN_RELEASING:
		conn_release(conn);
		break;
	case CONN_REFUSING:
		conn_refuse(conn);
		break;
	case CONN_JOINING: /* JOIN_LIMIT_MS is over */
		retry_release(conn, -ETIMEDOUT);
		break;
	case CONN_WAITING:
		watch_held(conn);
		ts_timer_set(conn->timer,
			     conn->started_ms + conn->host->timeout_ms);
		break;
	case CONN_DIALLING:
		watch_held(conn);
		break;
	}
}

void ts_conn_advance(struct ts_conn *conn)
{
	switch (conn_look(conn)) {
	case LOOK_NOT_YET:
		look_again(conn);
		break;
	case LOOK_HELD:
		settle_held(conn);
		break;
	case LOOK_GONE:
		ts_conn_abandon(conn);
		break;
	case LOOK_UP:
		if (!conn->host->rv.holds)
			settle_accepted(conn);
		else if (conn->state != CONN_JOINING || !try_join(conn))
			ts_conn_abandon(conn); /* connected, but not to R */
		break;
	}
}

static void on_timer(void *ctx)
{
	struct ts_conn *conn = ctx;
	const struct ts_host *host = conn->host;

	if (conn->state == CONN_WAITING &&
	    ts_host_now_ms(host) >= conn->started_ms + host->timeout_ms)
		ts_conn_fail(conn, -ETIMEDOUT);
	else
		ts_conn_advance(conn);
}

/* -- from and to the list ------------------------------------------------- */

static struct ts_flow_key make_key(const struct ts_host *host,
				   const struct ts_broker_request *req)
{
	struct ts_flow_key key = {.proto = IPPROTO_TCP,
				  .local = req->native_local,
				  .remote = req->native_remote};

	if (!ts_ip_is_unspecified(&key.local.ip))
		return key;
	if (host->rv.source_follows)
		key.local.ip = key.remote.ip;
	else
		key.local.ip = ts_sock_loopback(!ts_ip_is_v4(&key.remote.ip));
	return key;
}

struct ts_conn *ts_conn_new(struct ts_host *host,
			    const struct ts_broker_request *req, int fd,
			    pid_t pid)
{
	struct ts_conn *conn = calloc(1, sizeof(*conn));
	struct ts_timer *timer =
		conn ? ts_timer_new(host->loop, on_timer, conn) : NULL;

	if (!timer) {
		free(conn);
		ts_sock_close(fd);
		return NULL;
	}
	conn->host = host;
	conn->by = ts_choice_of(host, req);
	conn->member = ts_host_first(host);
	conn->id = ++host->next_id;
	conn->dest = req->tailnet;
	conn->stand_in =
		ts_stand_in_get(ts_stand_in_find(host, &req->tailnet.ip));
	if (conn->stand_in)
		conn->dest.ip = conn->stand_in->real;
	conn->key = make_key(host, req);
	conn->dup_fd = fd;
	conn->back_fd = -1;
	conn->hup.fd = -1;
	conn->timer = timer;
	conn->started_ms = ts_host_now_ms(host);
	conn->look_ms = CONN_LOOK_FIRST_MS;
	conn->pid = pid;
	ts_list_insert(&host->conns, &conn->link);
	host->held_count++;
	return conn;
}

void ts_conn_discard(struct ts_conn *conn)
{
	drop_far_end(conn);
	ts_entry_drop(conn->host, conn->entry);
	free_conn(conn);
}

void ts_conn_close(struct ts_conn *conn)
{
	drop_far_end(conn);
	drop_back(conn);
	publish_failure(conn, -ENETDOWN);
	conn_refuse(conn);
}

void ts_conns_arrived(struct ts_host *host, int fd)
{
	struct ts_addr program, at;

	if (fd < 0 || ts_sock_peer(fd, &program) || ts_sock_local(fd, &at)) {
		ts_sock_close(fd);
		return;
	}
	for (struct ts_link *l = host->conns.next; l != &host->conns;
	     l = l->next) {
		struct ts_conn *conn = TS_LINK_OWNER(l, struct ts_conn, link);

		if (conn->back_fd >= 0 ||
		    !ts_addr_equal(&conn->key.local, &program) ||
		    !ts_addr_equal(&conn->key.remote, &at))
			continue;
		conn->back_fd = fd;
		ts_conn_advance(conn);
		return;
	}
	ts_sock_reset(fd); /* the dummy, or a stranger */
}
