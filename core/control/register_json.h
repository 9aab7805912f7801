/* SPDX-License-Identifier: BSD-3-Clause
 * register_json.h - RegisterRequest and RegisterResponse
 * Source: tailcfg/tailcfg.go, control/controlclient/direct.go (doLogin)
 */
#ifndef CORE_CONTROL_REGISTER_JSON_H
#define CORE_CONTROL_REGISTER_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/control/hostinfo_json.h"
#include "core/crypto/keys.h"

struct ts_register_request {
	struct ts_public_key node_key, old_node_key, nl_key;
	const char *auth_key; /* NULL: none; a "--TL" suffix is not sent */
	const char *followup; /* NULL: none */
	int64_t expiry_unix;  /* 0: none */
	bool ephemeral;
	const char *node_key_signature; /* base64, or NULL */
	const struct ts_hostinfo *hostinfo;
};

/* Unix time that means "log this key out". */
enum { TS_LOGOUT_EXPIRY_UNIX = 123 };

/* Heap text, which the caller wipes and frees (it may hold an auth key); NULL
 * when out of memory or without a BackendLogID. */
char *ts_register_request_write(const struct ts_register_request *request);

struct ts_register_response {
	char *error, *auth_url; /* NULL: none */
	bool node_key_expired, machine_authorized;
	/* Tailnet Lock: of the old key, to be signed anew (base64), or NULL */
	char *node_key_signature;
	int64_t user_id;
	char *login_name, *display_name, *profile_pic_url;
};

/* 0, -EBADMSG, -ENOMEM; out only needs deinit after 0. */
int ts_register_response_read(const void *json, size_t len,
			      struct ts_register_response *out);
void ts_register_response_deinit(struct ts_register_response *response);

#endif
