/* SPDX-License-Identifier: BSD-3-Clause
 * login_notice.h - what a person has to do for a login, in words
 */
#ifndef CORE_ENGINE_LOGIN_NOTICE_H
#define CORE_ENGINE_LOGIN_NOTICE_H

#include <stdio.h>

#include "core/engine/engine_internal.h"

enum { LOGIN_NOTICE_CAP = 256 };

/* Into the log: visit url; and when the node's state asks for an admin. */
void login_notice_url(struct ts_engine *engine, const char *url);
void login_notice_state(struct ts_engine *engine, enum ts_node_state state);
/* The netmap's word about us is new: a day before our key runs out, somebody
 * may want to know. */
void login_notice_watch_expiry(struct ts_engine *engine);
/* "an admin ... has to approve this node: ADDRESS" */
void login_notice_approval(const char *control_url,
			   char out[static LOGIN_NOTICE_CAP]);
/* The address as a QR code, for a terminal. */
void login_notice_draw(FILE *to, const char *url);

/* What to do when the server refuses a login; "": its own words say it. */
const char *login_notice_advice(const struct ts_engine *engine);

#endif
