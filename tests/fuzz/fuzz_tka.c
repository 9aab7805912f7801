/* SPDX-License-Identifier: BSD-3-Clause
 * fuzz_tka.c - what the control server, peers' entries and the disk bring of
 * Tailnet Lock
 *
 * The first byte chooses the parser. What was read and is written again has to
 * be the same: there is one encoding only.
 */
#include <stdlib.h>
#include <string.h>

#include "core/tka/cbor.h"
#include "core/tka/tka.h"
#include "core/tka/tka_link.h"

static void read_aum(const uint8_t *data, size_t len)
{
	struct ts_tka_aum *aum;

	if (ts_tka_aum_read(data, len, &aum) == 0)
		ts_tka_aum_free(aum);
}

static void read_signature(const uint8_t *data, size_t len)
{
	static const struct ts_public_key key;
	struct ts_tka_state state = {.key_count = 0};
	struct ts_nks nks;
	const char *why = NULL;

	if (ts_nks_read(data, len, &nks))
		return;
	if (nks.count == 0 || nks.count > TS_NKS_LEVELS_MAX)
		abort();
	if (ts_nks_is_valid(&nks, &state, &key, &why)) /* nobody is trusted */
		abort();
}

static void load_file(const uint8_t *data, size_t len)
{
	struct ts_tka_chonk *chonk = ts_tka_chonk_new(NULL);

	if (chonk)
		ts_tka_chonk_load(chonk, "AA/A", data, len);
	ts_tka_chonk_free(chonk);
}

static void bootstrap(const uint8_t *data, size_t len)
{
	struct ts_tka_chonk *chonk = ts_tka_chonk_new(NULL);
	struct ts_tka *tka = NULL;
	const char *why;

	if (chonk && ts_tka_bootstrap(chonk, data, len, 1, &tka, &why) == 0)
		ts_tka_free(tka);
}

/* A state comes out as it went in. */
static void write_again(const uint8_t *data, size_t len)
{
	struct ts_reader r = ts_reader_init(data, len);
	struct ts_tka_state state;
	struct ts_writer w;
	uint8_t *out = malloc(len ? len : 1);

	if (ts_tka_state_read(&r, &state) == 0 && !r.bad && out) {
		w = ts_writer_init(out, len);
		ts_tka_state_write(&w, &state);
		if (!w.bad && w.len == len - r.left &&
		    memcmp(out, data, w.len) != 0)
			abort();
	}
	ts_tka_state_deinit(&state);
	free(out);
}

static void read_link(const uint8_t *data, size_t len)
{
	char *url = malloc(len + 1), error[TKA_LINK_ERROR_CAP];
	struct ts_tka_link link;

	if (!url)
		return;
	memcpy(url, data, len);
	url[len] = '\0';
	if (ts_tka_link_read(url, 1, &link, error) &&
	    !memchr(error, '\0', sizeof(error)))
		abort();
	free(url);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct ts_reader r;

	if (len == 0)
		return 0;
	switch (data[0] % 7) {
	case 0:
		read_aum(data + 1, len - 1);
		break;
	case 1:
		read_signature(data + 1, len - 1);
		break;
	case 2:
		load_file(data + 1, len - 1);
		break;
	case 3:
		bootstrap(data + 1, len - 1);
		break;
	case 4:
		write_again(data + 1, len - 1);
		break;
	case 6:
		read_link(data + 1, len - 1);
		break;
	default:
		r = ts_reader_init(data + 1, len - 1);
		ts_cbor_skip(&r);
		break;
	}
	return 0;
}
