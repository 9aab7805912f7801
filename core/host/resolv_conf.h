/* SPDX-License-Identifier: BSD-3-Clause
 * resolv_conf.h - the system's name servers
 */
#ifndef CORE_HOST_RESOLV_CONF_H
#define CORE_HOST_RESOLV_CONF_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "core/base/addr.h"
#include "core/broker/address_table.h"
#include "core/node/node_dns.h"

struct ts_name_server {
	struct ts_addr addr;
	unsigned scope; /* of a link-local address; else 0 */
};

/* The first of text's name servers, as libc takes them; 127.0.0.1 when it names
 * none. Returns their number, never 0. */
size_t ts_resolv_conf_parse(
	const char *text,
	struct ts_name_server out[static TS_TABLE_RESOLVER_MAX]);

struct ts_resolv_conf {
	const char *path;
	struct stat seen; /* when it was read; all zero: not there */
	size_t count;	  /* 0: never read */
	struct ts_name_server servers[TS_TABLE_RESOLVER_MAX];
};

/* Reads the file when it changed: were there news? */
bool ts_resolv_conf_refresh(struct ts_resolv_conf *conf);
/* The search list of the last "search" or "domain" line; their number. */
size_t ts_resolv_conf_parse_search(
	const char *text,
	char out[static TS_DNS_SYSTEM_SEARCH_MAX][TS_DNS_NAME_CAP]);
/* The same of the file, as it is now. */
size_t ts_resolv_conf_read_search(
	const char *path,
	char out[static TS_DNS_SYSTEM_SEARCH_MAX][TS_DNS_NAME_CAP]);
/* The length of *out, as connect() wants both. */
socklen_t ts_name_server_sockaddr(const struct ts_name_server *server,
				  struct sockaddr_storage *out);

#endif
