/* SPDX-License-Identifier: BSD-3-Clause
 * fuzz_portmap_ssdp.c - SSDP answers: what is taken over makes a URL of the
 * gateway's that can be read again
 */
#include <stdlib.h>
#include <string.h>

#include "core/path/portmap_ssdp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static const uint8_t v4[] = {192, 168, 1, 1};
	const struct ts_ip gateway = ts_ip_from_v4(v4);
	static const char prefix[] = "http://192.168.1.1:";
	struct ts_ssdp_devices devices = {0};
	struct ts_ssdp_device device;
	struct ts_igd_url again;
	char url[IGD_URL_CAP];

	if (ts_ssdp_read_answer(data, len, &device) != 0)
		return 0;
	ts_ssdp_add(&devices, &device);
	ts_igd_url_write(&device.location, &gateway, url);
	if (strncmp(url, prefix, sizeof(prefix) - 1) != 0 ||
	    ts_igd_url_read(url, strlen(url), NULL, &again) != 0 ||
	    again.port != device.location.port ||
	    strcmp(again.path, device.location.path) != 0)
		abort();
	return 0;
}
