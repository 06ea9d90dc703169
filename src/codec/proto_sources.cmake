# The protobuf half of the codec. It reads and writes the wire format itself: the library links no protobuf.
set(CODEC_PROTO_SOURCES tensor_proto_decoder.cc tensor_proto_encoder.cc predict_proto.cc tfrecord.cc)
set(CODEC_PROTO_TESTS tensor_proto_test.cc predict_proto_test.cc tfrecord_test.cc)
