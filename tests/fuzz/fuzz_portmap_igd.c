/* SPDX-License-Identifier: BSD-3-Clause
 * fuzz_portmap_igd.c - UPnP descriptions and SOAP answers
 */
#include <stdlib.h>
#include <string.h>

#include "core/path/portmap_igd.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static const struct ts_igd_url location = {5000, "/a/root.xml"};
	struct ts_igd_services services;
	struct ts_igd_answer answer;

	ts_igd_read_answer(data, len, &answer);
	if (ts_igd_read_description(data, len, &location, &services) != 0)
		return 0;
	if (services.count == 0 || services.count > IGD_SERVICES_MAX)
		abort();
	for (size_t i = 0; i < services.count; i++)
		if (services.list[i].control.path[0] != '/' ||
		    strpbrk(services.list[i].control.path, " \r\n"))
			abort();
	return 0;
}
