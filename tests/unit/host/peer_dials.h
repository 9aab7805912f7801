/* SPDX-License-Identifier: BSD-3-Clause
 * peer_dials.h - the peer of real_stack.h calls a program's listener
 */
#ifndef TESTS_UNIT_HOST_PEER_DIALS_H
#define TESTS_UNIT_HOST_PEER_DIALS_H

#include "real_stack.h"

#include "host_fixture.h"

/* ctx: the address, as text. For on_loop(). */
static inline void dial_us(struct fixture *f, void *ctx)
{
	struct ts_addr to = fake_addr(ctx);

	net.host = f->host;
	peer_dials(&to);
}

/* What has become of its call. */
struct look {
	bool is_up, is_gone, saw_eof;
};

static inline void look_dialled(struct fixture *f, void *ctx)
{
	struct look *look = ctx;

	(void)f;
	look->is_up = net.dialled.is_up;
	look->is_gone = net.dialled.is_gone;
	look->saw_eof = net.dialled.saw_eof;
}

/* The program's socket listens at port 80 of the tailnet. */
static inline void listen_at_80(struct fixture *f, int listener)
{
	struct ts_addr any = {.ip = TS_IP4_ZERO, .port = 8080};
	struct ts_broker_request req = {.type = TS_BROKER_LISTEN,
					.proto = IPPROTO_TCP,
					.native_local = any,
					.tailnet = {TS_IP_ZERO, 80}};

	assert_int_equal(bind_to(listener, &any), 0);
	assert_int_equal(listen(listener, 4), 0);
	assert_int_equal(request(f, &req, -1).error, 0);
}

/* The peer calls there, and the program accepts. */
static inline int accept_at_80(struct fixture *f, int listener)
{
	struct look look = {false, false, false};
	int fd;

	on_loop(f, dial_us, SELF ":80");
	fd = accept(listener, NULL, NULL);
	assert_true(fd >= 0);
	assert_true(eventually(f, look_dialled, &look, &look.is_up));
	return fd;
}

/* As the shim does, once it has checked where the connection comes from. */
static inline void say_accepted(struct fixture *f, int fd)
{
	struct ts_broker_request req = {.type = TS_BROKER_ACCEPTED,
					.proto = IPPROTO_TCP,
					.native_local = local_of(fd),
					.native_remote = peer_of(fd)};

	assert_int_equal(request(f, &req, -1).error, 0);
}

#endif
