/* SPDX-License-Identifier: BSD-3-Clause
 * lab_stun.h - a STUN server
 */
#ifndef TESTS_LAB_LAB_STUN_H
#define TESTS_LAB_LAB_STUN_H

#include <jansson.h>
#include <stdbool.h>

#include "core/base/addr.h"
#include "core/loop/loop.h"

struct lab_stun;

/* 0 or a negative errno */
int lab_stun_open(struct ts_loop *loop, const struct ts_addr *bind_to,
		  struct lab_stun **out);
void lab_stun_close(struct lab_stun *stun); /* NULL is fine */
uint16_t lab_stun_port(const struct lab_stun *stun);
/* Off: requests are read and not answered. */
void lab_stun_set_answering(struct lab_stun *stun, bool on);
json_t *lab_stun_stats(const struct lab_stun *stun);

#endif
