#include "location.h"

#include "base/text.h"

size_t topic_location(struct bytes topic, char out[LOCATION_ROOM])
{
    static const char before[] = "/v1/topics/";
    size_t len = sizeof before - 1;

    memcpy(out, before, len);
    url_encode_segment(topic, out + len);
    len += url_encoded_len(topic);
    out[len] = 0;
    return len;
}

size_t message_location(struct bytes topic, uint64_t offset, char out[LOCATION_ROOM])
{
    static const char between[] = "/messages/";
    size_t len = topic_location(topic, out);

    memcpy(out + len, between, sizeof between - 1);
    len += sizeof between - 1;
    len += text_put_u64(out + len, offset);
    out[len] = 0;
    return len;
}
