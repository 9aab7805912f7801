/* SPDX-License-Identifier: BSD-3-Clause
 * attach.c - find the host, map its table, ask it things
 *
 * Two lives. Hosted (TSNET_BROKER): the host is tsrun's; if it cannot be
 * reached the tailnet is down, and never replaced by the host network. Alone:
 * the host is a thread of this process or of another one; when its broker is
 * gone (the process ended, or we are a forked child whose parent did) this
 * process hosts anew and tries once more.
 *
 * Of a host with several nodes a program sees all, or the one that TSNET_NODE
 * names when it attaches: its table, and the token in it, are that one's.
 *
 * Nothing here is remembered but the mapping and the names: a child inherits
 * both and needs no repair after fork.
 */
#include <netinet/in.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/base/err.h"
#include "shim/broker_link.h"
#include "shim/shim.h"

/* How long a host that could not be reached is left alone by those who can
 * do without it. */
enum { RETRY_S = 5, NEIGHBOUR_TRIES = 250, NEIGHBOUR_WAIT_MS = 20 };

static void fill_token(struct ts_broker_request *req)
{
	const struct ts_table_layout *table = atomic_load(&shim.table);
	struct ts_table_info info;

	if (table && ts_table_read_info(table, &info))
		memcpy(req->token, info.token, sizeof(req->token));
}

/* Maps what the broker hands out, in place of *seen. */
static int fetch_table_once(const struct shim_broker *broker,
			    const struct ts_table_layout *seen)
{
	struct ts_broker_request req = {.type = TS_BROKER_ATTACH};
	struct ts_broker_reply rep;
	const struct ts_table_layout *table;
	int fd, err;

	memcpy(req.name, shim.node, sizeof(shim.node));
	fill_token(&req);
	err = shim_broker_exchange(broker, &req, -1, &rep, &fd);
	if (err)
		return err;
	if (rep.error || fd < 0) {
		if (fd >= 0)
			shim_close(fd);
		return rep.error ? -EACCES : -EMFILE; /* it did not fit */
	}
	table = ts_table_map(fd, &err);
	shim_close(fd);
	if (!table)
		return err;
	/* Another thread was faster: its table is as good. */
	if (!atomic_compare_exchange_strong(&shim.table, &seen, table))
		ts_table_unmap(table);
	shim_note("attached");
	return 0;
}

struct fetch {
	const struct shim_broker *broker;
	const struct ts_table_layout *seen;
};

static int fetch_with_room(void *ctx)
{
	const struct fetch *fetch = ctx;

	return fetch_table_once(fetch->broker, fetch->seen);
}

static int fetch_table(const struct shim_broker *broker,
		       const struct ts_table_layout *seen)
{
	struct fetch fetch = {broker, seen};
	int err = fetch_table_once(broker, seen);

	return err == -EMFILE ? shim_with_room(-1, fetch_with_room, &fetch)
			      : err;
}

static const struct shim_broker *current_broker(void)
{
	return atomic_load(&shim.broker);
}

/* After err from broker: is there a new one to try? */
static bool has_new_host(const struct shim_broker *broker, int err)
{
	return !shim.is_hosted && shim_host_is_gone(err) &&
	       shim_host_start(broker) == 0;
}

/* What the program is told when the host cannot be reached. */
static int as_network_error(int err)
{
	switch (err) {
	case 0:
	case -EMFILE:
	case -ENFILE:
	case -ENOMEM:
	case -ENOBUFS:
		return err;
	default:
		shim_note("host: no answer: %s", ts_strerror(err));
		return -ENETDOWN;
	}
}

/* After err from broker. A neighbour that holds the lock but does not answer
 * is about to, or about to end: short programs that follow each other meet
 * both, and wait. */
static int fetch_from_new_host(const struct shim_broker *broker, int err,
			       const struct ts_table_layout *seen)
{
	const struct timespec wait = {.tv_nsec = NEIGHBOUR_WAIT_MS * 1000000};

	for (int i = 0; i < NEIGHBOUR_TRIES && has_new_host(broker, err); i++) {
		if (i > 0)
			nanosleep(&wait, NULL);
		broker = current_broker();
		err = fetch_table(broker, seen);
	}
	return err;
}

static int attach_from(const struct ts_table_layout *seen)
{
	const struct shim_broker *broker = current_broker();
	int cancels = shim_cancel_put_off();
	int err = broker ? fetch_table(broker, seen) : -ENOENT;

	err = as_network_error(fetch_from_new_host(broker, err, seen));
	shim_cancel_set(cancels);
	return err;
}

int shim_attach(void)
{
	shim_read_environment();
	return atomic_load(&shim.table) ? 0 : attach_from(NULL);
}

static uint32_t now_s(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint32_t)now.tv_sec + 1; /* never 0 */
}

static const struct ts_table_layout *try_attach(void)
{
	uint32_t failed_s = atomic_load(&shim.attach_failed_s);
	int saved_errno = errno;

	if (failed_s == 0 || now_s() - failed_s >= RETRY_S)
		atomic_store(&shim.attach_failed_s,
			     shim_attach() ? now_s() : 0);
	errno = saved_errno;
	return atomic_load(&shim.table);
}

const struct ts_table_layout *shim_table(void)
{
	const struct ts_table_layout *table = atomic_load(&shim.table);

	shim_read_environment();
	return table || !shim.is_hosted ? table : try_attach();
}

const struct ts_table_layout *shim_table_if_configured(void)
{
	const struct ts_table_layout *table = shim_table();

	return table || shim.is_hosted || !shim.is_configured ? table
							      : try_attach();
}

struct question {
	struct ts_broker_request *req;
	int pass_fd;
	struct ts_broker_reply *rep; /* NULL: none is wanted */
};

static int ask_with_room(void *ctx)
{
	const struct question *q = ctx;

	if (!q->rep)
		return shim_broker_tell(current_broker(), q->req, q->pass_fd);
	return shim_broker_exchange(current_broker(), q->req, q->pass_fd,
				    q->rep, NULL);
}

static int ask(struct ts_broker_request *req, int pass_fd,
	       struct ts_broker_reply *rep)
{
	struct question q = {req, pass_fd, rep};
	int err;

	fill_token(req);
	err = ask_with_room(&q);
	return err == -EMFILE ? shim_with_room(pass_fd, ask_with_room, &q)
			      : err;
}

/* A table of a dead host is of no use; a request that no longer fits the new
 * one is refused by it. */
static int move_to_new_host(const struct shim_broker *broker, int err,
			    const struct ts_table_layout *old)
{
	int cancels = shim_cancel_put_off();

	if (!err) /* who answers is another, or about to end (EACCES) */
		err = fetch_table(current_broker(), old);
	if (err)
		err = fetch_from_new_host(broker, err, old);
	if (!err)
		shim_listeners_move(old);
	shim_cancel_set(cancels);
	return err;
}

int shim_ask(struct ts_broker_request *req, int pass_fd,
	     struct ts_broker_reply *rep)
{
	const struct ts_table_layout *table;
	const struct shim_broker *broker;
	int err = shim_attach();

	if (err)
		return err;
	table = atomic_load(&shim.table);
	broker = current_broker();
	err = ask(req, pass_fd, rep);
	/* ESTALE: the one who answers is not the one who made our table. */
	if ((!shim.is_hosted && shim_host_is_gone(err)) ||
	    (!err && rep->error == ESTALE)) {
		err = move_to_new_host(broker, err, table);
		if (!err)
			err = ask(req, pass_fd, rep);
	}
	return as_network_error(err);
}

int shim_ask_for(struct ts_broker_request *req, int pass_fd,
		 struct ts_broker_reply *rep)
{
	int err = shim_ask(req, pass_fd, rep);

	return err ? err : -rep->error;
}

int shim_tell(struct ts_broker_request *req, int pass_fd)
{
	struct ts_broker_reply rep;

	if (!shim.is_hosted)
		return shim_ask_for(req, pass_fd, &rep);
	req->flags |= TS_BROKER_UNANSWERED;
	return as_network_error(ask(req, pass_fd, NULL));
}

/* Is it time to ask? Our own thread's host is alive when we are. */
static bool is_host_in_doubt(const struct ts_table_layout *table)
{
	struct ts_table_info info;
	uint32_t asked_s = atomic_load(&shim.host_asked_s), s = now_s();

	return asked_s != s && ts_table_read_info(table, &info) &&
	       info.host_pid != getpid() &&
	       atomic_compare_exchange_strong(&shim.host_asked_s, &asked_s, s);
}

bool shim_host_is_here(void)
{
	const struct ts_table_layout *table = atomic_load(&shim.table);
	struct ts_table_info info;

	return !shim.is_hosted && table && ts_table_read_info(table, &info) &&
	       info.host_pid == getpid();
}

void shim_host_drain(bool ends)
{
	struct ts_broker_request req = {.type = TS_BROKER_DRAIN,
					.flags = ends ? TS_BROKER_END : 0};
	struct ts_broker_reply rep;

	/* Whatever comes of it, there is nobody left to tell. */
	(void)ask(&req, -1, &rep);
}

void shim_follow_host_now(void)
{
	struct ts_broker_request nothing = {.type = TS_BROKER_ACCEPTED,
					    .proto = IPPROTO_TCP};
	struct ts_broker_reply rep;

	(void)shim_ask(&nothing, -1, &rep);
}

void shim_follow_host(void)
{
	const struct ts_table_layout *table = atomic_load(&shim.table);

	if (!shim.is_hosted && table && is_host_in_doubt(table))
		shim_follow_host_now();
}
