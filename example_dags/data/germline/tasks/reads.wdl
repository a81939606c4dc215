version 1.0

task name_sample {
  input {
    String sample_name
    String image
  }

  command <<<
    echo ~{sample_name} > named.txt
  >>>

  output {
    File named = "named.txt"
  }

  runtime {
    docker: image
    cpu: 2
    memory: "4 GiB"
  }
}
