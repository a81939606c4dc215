version 1.0

import "tasks/reads.wdl" as reads

workflow germline {
  input {
    String sample_name
    String image = "123456789012.dkr.ecr.us-east-1.amazonaws.com/ubuntu:22.04"
  }

  parameter_meta {
    sample_name: "Name of the sample"
    image: "Image in Amazon ECR that the tasks run in"
  }

  call reads.name_sample { input: sample_name = sample_name, image = image }

  output {
    File named = name_sample.named
  }
}
