/* SPDX-License-Identifier: BSD-3-Clause
 * server_key_json.h - the control server's answer to GET /key
 */
#ifndef CORE_CONTROL_SERVER_KEY_JSON_H
#define CORE_CONTROL_SERVER_KEY_JSON_H

#include <stddef.h>

#include "core/crypto/keys.h"

/* 0, -EBADMSG (no JSON, or a malformed key), -EPROTO (a zero key: the server
 * does not speak ts2021). */
int ts_server_key_read(const void *json, size_t len,
		       struct ts_public_key *out);

#endif
