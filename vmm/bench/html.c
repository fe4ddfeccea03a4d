/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/bench/html.h"

#include "vmm/base/cleanup.h"
#include "vmm/base/utf8.h"

void html_text(FILE *stream, const char *text)
{
    cleanup_free char *clean = utf8_clean(text);

    for (const char *at = clean; at && *at; at++) {
        switch (*at) {
        case '&': fputs("&amp;", stream); break;
        case '<': fputs("&lt;", stream); break;
        case '>': fputs("&gt;", stream); break;
        case '"': fputs("&quot;", stream); break;
        case '\'': fputs("&#39;", stream); break;
        default:
            /* XML has no control characters, not even as numbers. */
            if ((*at >= 0 && *at < ' ' && *at != '\n' && *at != '\t') || *at == 0x7f)
                fputs("\xef\xbf\xbd", stream);
            else
                fputc(*at, stream);
        }
    }
}

void html_figure(FILE *stream, double value)
{
    fprintf(stream, "%.*f", value >= 100 ? 0 : value >= 10 ? 1 : value >= 1 ? 2 : 3, value);
}
