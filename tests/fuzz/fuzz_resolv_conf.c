/* SPDX-License-Identifier: BSD-3-Clause
 * fuzz_resolv_conf.c - the system's list of name servers
 */
#include <stdlib.h>
#include <string.h>

#include "core/host/resolv_conf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct ts_name_server servers[TS_TABLE_RESOLVER_MAX];
	char search[TS_DNS_SYSTEM_SEARCH_MAX][TS_DNS_NAME_CAP];
	struct sockaddr_storage ss;
	char *text = strndup((const char *)data, len);
	size_t count;

	if (!text)
		abort();
	count = ts_resolv_conf_parse(text, servers);
	if (count < 1 || count > TS_TABLE_RESOLVER_MAX)
		abort();
	for (size_t i = 0; i < count; i++)
		if (servers[i].addr.port != 53 ||
		    ts_name_server_sockaddr(&servers[i], &ss) > sizeof(ss))
			abort();
	count = ts_resolv_conf_parse_search(text, search);
	if (count > TS_DNS_SYSTEM_SEARCH_MAX)
		abort();
	while (count-- > 0)
		if (strlen(search[count]) == 0)
			abort();
	free(text);
	return 0;
}
