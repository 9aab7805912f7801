/* SPDX-License-Identifier: BSD-3-Clause
 * fuzz_dns_message.c - DNS queries to 100.100.100.100 from a stranger
 */
#include <stdlib.h>
#include <string.h>

#include "core/crypto/secret.h"
#include "core/dns/magic_dns.h"
#include "core/model/netmap_edit.h"

static struct ts_magic_dns *make_dns(void)
{
	struct ts_netmap *map = ts_netmap_new();
	struct ts_magic_dns *dns = ts_magic_dns_new();
	struct ts_peer *self = ts_peer_new();

	if (!map || !dns || !self)
		abort();
	self->id = 1;
	self->name = strdup("me.tail1.ts.net.");
	self->addresses = calloc(1, sizeof(*self->addresses));
	self->address_count = 1;
	ts_prefix_parse("100.64.0.1/32", self->addresses);
	map->self = self;
	map->dns = calloc(1, sizeof(*map->dns));
	map->dns->magic_dns = true;
	if (ts_magic_dns_set_config(dns, map))
		abort();
	ts_netmap_free(map);
	return dns;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct ts_magic_dns *dns;
	static const size_t caps[] = {4096, 512, 64, 12};
	uint8_t out[4096];

	if (!dns) {
		ts_crypto_init();
		dns = make_dns();
	}
	for (size_t i = 0; i < sizeof(caps) / sizeof(caps[0]); i++) {
		int len = ts_magic_dns_answer(dns, data, size, i % 2 == 0, out,
					      caps[i]);

		if (len > (int)caps[i])
			abort();
	}
	return 0;
}
