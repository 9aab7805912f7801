/* SPDX-License-Identifier: BSD-3-Clause
 * fuzz_idna.c - names beyond ASCII, as programs ask for them
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/dns/idna.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	char *name = malloc(len + 1), out[DNS_TEXT_CAP];

	if (!name)
		return 0;
	memcpy(name, data, len);
	name[len] = '\0';
	if (ts_dns_to_ascii(name, out)) {
		if (!memchr(out, '\0', sizeof(out)))
			abort();
		for (const char *c = out; *c; c++)
			if ((unsigned char)*c >= 0x80)
				abort();
	}
	free(name);
	return 0;
}
