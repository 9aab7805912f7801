/* SPDX-License-Identifier: BSD-3-Clause
 * proxy_request.c - what a client asks of the proxy: SOCKS5 or HTTP
 *
 * Any program of this machine can reach the port, so nothing is done for one
 * that does not know the password, and it is compared in constant time.
 */
#include "core/host/proxy_parts.h"

#include <string.h>

#include "core/crypto/secret.h"

enum { SOCKS_VERSION = 5 };

bool ts_proxy_is_secret(const char *mine, const void *theirs, size_t len)
{
	char padded[PROXY_SECRET_CAP] = "", own[PROXY_SECRET_CAP] = "";

	if (len >= sizeof(padded) || strlen(mine) >= sizeof(own))
		return false;
	memcpy(padded, theirs, len);
	memcpy(own, mine, strlen(mine));
	return strlen(mine) == len &&
	       ts_secret_equal(padded, own, sizeof(own));
}

bool ts_proxy_set_name(char host[static PROXY_HOST_CAP], const void *name,
		     size_t len)
{
	if (len == 0 || len >= PROXY_HOST_CAP || memchr(name, '\0', len))
		return false;
	memcpy(host, name, len);
	host[len] = '\0';
	return true;
}

enum ts_proxy_step ts_proxy_say(struct ts_proxy_parser *p,
				enum ts_proxy_step step, const void *bytes,
				size_t len)
{
	memcpy(p->answer, bytes, len);
	p->answer_len = len;
	return step;
}

enum ts_proxy_step ts_proxy_parse(struct ts_proxy_parser *p,
				  const uint8_t *data, size_t len,
				  size_t *used)
{
	*used = 0;
	p->answer_len = 0;
	if (len == 0)
		return PROXY_MORE;
	if (!p->is_known) {
		p->is_known = true;
		p->kind = data[0] == SOCKS_VERSION ? PROXY_SOCKS
						   : PROXY_HTTP_CONNECT;
	}
	return p->kind == PROXY_SOCKS ? ts_proxy_socks_parse(p, data, len, used)
				      : ts_proxy_http_parse(p, data, len, used);
}

void ts_proxy_answer(struct ts_proxy_parser *p, int err)
{
	p->answer_len = 0;
	if (p->kind == PROXY_SOCKS)
		ts_proxy_socks_answer(p, err);
	else
		ts_proxy_http_answer(p, err);
}
