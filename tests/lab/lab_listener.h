/* SPDX-License-Identifier: BSD-3-Clause
 * lab_listener.h - a listening TCP or Unix socket that can refuse for a while
 */
#ifndef TESTS_LAB_LAB_LISTENER_H
#define TESTS_LAB_LAB_LISTENER_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/addr.h"
#include "core/loop/loop.h"

struct lab_listener;

/* accepted takes fd. Port 0 takes any. 0 or a negative errno. */
int lab_listener_open(struct ts_loop *loop, const struct ts_addr *bind_to,
		      void (*accepted)(void *ctx, int fd), void *ctx,
		      struct lab_listener **out);
/* An AF_UNIX stream socket at path; a stale one is replaced. */
int lab_listener_open_path(struct ts_loop *loop, const char *path,
			   void (*accepted)(void *ctx, int fd), void *ctx,
			   struct lab_listener **out);
void lab_listener_close(struct lab_listener *l); /* NULL is fine */
uint16_t lab_listener_port(const struct lab_listener *l);
/* Refusing keeps the port bound, so that clients get ECONNREFUSED and nobody
 * else gets the port. TCP only. 0 or a negative errno. */
int lab_listener_refuse(struct lab_listener *l, bool on);

#endif
