/* SPDX-License-Identifier: BSD-3-Clause
 * fake_datagrams.h - a stack whose ports are free and whose network is empty
 */
#ifndef TESTS_UNIT_HOST_FAKE_DATAGRAMS_H
#define TESTS_UNIT_HOST_FAKE_DATAGRAMS_H

#include <errno.h>
#include <stdlib.h>

#include "netstack/stack.h"

struct stack_udp {
	uint16_t port;
};

struct stack_echo {
	struct stack *stack;
};

struct stack_udp *stack_udp_open(struct stack *s, const struct ts_addr *local,
				 stack_udp_fn fn, void *user, int *err)
{
	static uint16_t last_port = 20000;
	struct stack_udp *u = calloc(1, sizeof(*u));

	(void)s;
	(void)fn;
	(void)user;
	if (!u)
		abort();
	u->port = local->port ? local->port : ++last_port;
	*err = 0;
	return u;
}

int stack_udp_send(struct stack_udp *u, const struct ts_addr *to,
		   const void *data, size_t len)
{
	(void)u;
	(void)to;
	(void)data;
	(void)len;
	return 0;
}

void stack_udp_set_error(struct stack_udp *u, stack_udp_error_fn fn)
{
	(void)u;
	(void)fn;
}

void stack_udp_refuse(struct stack_udp *u, const struct ts_addr *from,
		      const struct ts_addr *to, const void *data, size_t len)
{
	(void)u;
	(void)from;
	(void)to;
	(void)data;
	(void)len;
}

uint16_t stack_udp_port(const struct stack_udp *u)
{
	return u->port;
}

void stack_udp_close(struct stack_udp *u)
{
	free(u);
}

struct stack_echo *stack_echo_open(struct stack *s, stack_echo_fn fn,
				   stack_echo_error_fn error_fn, void *user,
				   int *err)
{
	(void)s;
	(void)fn;
	(void)error_fn;
	(void)user;
	*err = -ENOMEM;
	return NULL;
}

int stack_echo_send(struct stack_echo *e, const struct ts_ip *to, uint16_t seq,
		    const void *data, size_t len)
{
	(void)e;
	(void)to;
	(void)seq;
	(void)data;
	(void)len;
	return 0;
}

void stack_echo_close(struct stack_echo *e)
{
	(void)e;
}

/* -- what we route for others --------------------------------------------- */

int stack_forward_udp(struct stack *s, const struct ts_addr *from,
		      const struct ts_addr *to, const void *data, size_t len)
{
	(void)s, (void)from, (void)to, (void)data, (void)len;
	return 0;
}

int stack_forward_echo_reply(struct stack *s, const struct ts_ip *from,
			     const struct ts_ip *to, uint16_t id, uint16_t seq,
			     const void *data, size_t len)
{
	(void)s, (void)from, (void)to, (void)id, (void)seq, (void)data;
	(void)len;
	return 0;
}

void stack_forward_udp_failed(struct stack *s, const struct ts_addr *from,
			      const struct ts_addr *to, const void *data,
			      size_t len, int err)
{
	(void)s, (void)from, (void)to, (void)data, (void)len, (void)err;
}

void stack_forward_echo_failed(struct stack *s, const struct ts_ip *from,
			       const struct ts_ip *to, uint16_t id,
			       uint16_t seq, int err)
{
	(void)s, (void)from, (void)to, (void)id, (void)seq, (void)err;
}

#endif
