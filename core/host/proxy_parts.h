/* SPDX-License-Identifier: BSD-3-Clause
 * proxy_parts.h - what the parsers of the proxy share
 */
#ifndef CORE_HOST_PROXY_PARTS_H
#define CORE_HOST_PROXY_PARTS_H

#include "core/host/proxy_request.h"

/* -- proxy_request.c ------------------------------------------------------ */
/* In constant time. */
bool ts_proxy_is_secret(const char *mine, const void *theirs, size_t len);
bool ts_proxy_set_name(char host[static PROXY_HOST_CAP], const void *name,
		       size_t len);
/* step, with these bytes as the answer. */
enum ts_proxy_step ts_proxy_say(struct ts_proxy_parser *p,
				enum ts_proxy_step step, const void *bytes,
				size_t len);

/* -- proxy_socks.c, proxy_http.c: as ts_proxy_parse(), ts_proxy_answer() --- */
enum ts_proxy_step ts_proxy_socks_parse(struct ts_proxy_parser *p,
					const uint8_t *data, size_t len,
					size_t *used);
void ts_proxy_socks_answer(struct ts_proxy_parser *p, int err);
enum ts_proxy_step ts_proxy_http_parse(struct ts_proxy_parser *p,
				       const uint8_t *data, size_t len,
				       size_t *used);
void ts_proxy_http_answer(struct ts_proxy_parser *p, int err);

#endif
